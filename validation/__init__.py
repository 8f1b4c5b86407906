"""Theory, simulation and experiment side by side: the figures of the paper and comparisons."""
