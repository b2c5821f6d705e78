"""Tests and benchmarks of tap-bitbucket-dc."""
