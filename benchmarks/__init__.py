"""Timings and accuracies, side by side with a plain implementation: `python -m benchmarks`."""
