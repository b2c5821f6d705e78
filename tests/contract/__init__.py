"""Tests over HTTP, against the emulator, on real git repositories."""
