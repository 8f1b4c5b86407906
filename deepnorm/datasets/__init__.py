"""Images to train on: `load` reads the standard files of a set and downloads nothing.

``load("digits")`` needs no files. ``load("mnist", folder)`` reads what `fetch` has put there,
or what you have copied there yourself. For images of your own build an `Images` from tensors.
"""

from deepnorm.datasets.download import fetch
from deepnorm.datasets.images import Images
from deepnorm.datasets.registry import NAMES, load

__all__ = ["NAMES", "Images", "fetch", "load"]
