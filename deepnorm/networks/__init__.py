"""Networks to train: those of the paper in its sizes, and small ones for a processor.

``build("cnn-small", (1, 28, 28), 10, seed=0)``. One kind of network a file.
"""

from deepnorm.networks.registry import NAMES, build

__all__ = ["NAMES", "build"]
