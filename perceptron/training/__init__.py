"""Weights that move: training from step to step."""
