"""Meltano, the tap, a target and PostgreSQL together, as a user runs them."""
