"""Latency under a changing load, with and without the adaptive policy."""
