"""How fast the tap is on this machine, compared with its alternatives.

``uv run python -m tests.benchmarks --help`` says how to measure. Pytest collects nothing here,
because a test that asserts a time fails on a busy machine.
"""
