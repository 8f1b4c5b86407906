"""The sets by name."""

from __future__ import annotations

import os

from deepnorm.datasets import cifar10, cifar100, digits, fashion_mnist, mnist
from deepnorm.datasets.images import Images
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["NAMES", "SETS", "load"]

#: The sets that are read from files.
SETS = {module.SOURCE.name: module for module in (mnist, fashion_mnist, cifar10, cifar100)}
NAMES = ("digits", *SETS)


def load(name: str, folder: str | os.PathLike[str] | None = None, *, check: bool = True) -> Images:
    """Read a set of images; nothing is ever downloaded.

    Parameters
    ----------
    name : str
        One of `NAMES`. "digits" ships with scikit-learn and reads no folder.
    folder : path, optional
        Where the standard files are, in their usual layout (``MNIST/raw``, ``FashionMNIST/raw``,
        ``cifar-10-batches-py``, ``cifar-100-python``), in a folder of the set's name, or lying
        there themselves; files of MNIST and Fashion-MNIST may be gzipped or plain. If not
        given, the environment variable REPLICA_LEARNING_DATA names it.
    check : bool
        Whether a file whose MD5 is not the published one is refused. If not, it is read and
        the `notes` of the images say so; its form is checked in any case.

    Raises
    ------
    ValueError
        If there is no such set, or a file is damaged or not the published one.
    OSError
        If the folder or a file is missing or cannot be read.
    ModuleNotFoundError
        For "digits", if scikit-learn is not installed.
    """
    if name not in NAMES:
        raise InvalidArgument("name", f"must be one of {', '.join(NAMES)}", quoted(name))
    if name == "digits":
        return digits.load()
    return SETS[name].load(folder, check)
