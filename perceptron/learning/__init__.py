"""Weights that solve a problem: one rule a file."""
