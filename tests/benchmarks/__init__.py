"""How fast the tap is beside what one would use instead, on this machine.

``uv run python -m tests.benchmarks --help`` says how to measure.
Nothing here is collected by pytest: a time that is asserted fails on a busy machine.
"""
