"""Measurements: `python -m benchmarks.<name>` from the checkout."""
