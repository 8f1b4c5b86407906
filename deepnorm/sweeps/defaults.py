"""What a sweep does where nothing else is said, one place for each data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DEFAULTS", "MODEL", "Default", "conventions_of"]

#: The network of a sweep where none is named.
MODEL = "cnn-small"
#: Kinds of networks of which the paper's authors logged a norm of their own.
FAMILIES = ("cnn", "resnet", "vit")


@dataclass(frozen=True)
class Default:
    """A grid for one data set.

    Attributes
    ----------
    P : tuple of int
        Numbers of training images, about geometric.
    seeds : int
        Seeds of each P.
    steps : int
        Optimizer steps of each training of a small network.
    full_steps : int or None
        Those of a network of the paper's size, whose steps take longer and do more; None for as
        many.
    settings : mapping
        Further fields of `Run`.
    """

    P: tuple[int, ...]
    seeds: int
    steps: int
    full_steps: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


#: Choices, all of them. The P of MNIST are the paper's up to 6000 (its 89 is taken as 94, which
#: continues the halving), those of CIFAR every second of the paper's; steps are such that the
#: test error of the small networks saturates.
DEFAULTS: dict[str, Default] = {
    "digits": Default(P=(50, 85, 144, 245, 416, 706, 1200), seeds=5, steps=1500, full_steps=400),
    "mnist": Default(P=(94, 188, 375, 750, 1500, 3000, 6000), seeds=5, steps=4000),
    "fashion-mnist": Default(P=(94, 188, 375, 750, 1500, 3000, 6000), seeds=5, steps=5000),
    "cifar10": Default(P=(750, 1500, 3000, 6000, 12000, 24000, 48000), seeds=5, steps=20_000),
    "cifar100": Default(P=(3000, 6000, 12000, 24000, 48000), seeds=5, steps=20_000),
}


def conventions_of(model: str) -> tuple[str, ...]:
    """Norms that are recorded: eq. (2), its sums, and what the authors' code logged."""
    family = model.partition("-")[0]
    return ("eq2", "bartlett", *([f"{family}-paper"] if family in FAMILIES else []))
