"""Worlds drawn at random: whatever happens to them, what is emitted equals ``git rev-list``."""
