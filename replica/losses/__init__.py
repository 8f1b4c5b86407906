"""Losses V(Delta) of the margin, a file each.

A loss owns its mathematics (`base.Loss`): V and its derivatives, its proximal point and the
nodes of its integrals, the limits of its parameter, where margins pile up. Nothing outside
this folder asks which loss it has.
"""

from replica.losses.base import Loss
from replica.losses.exponential import Exponential
from replica.losses.hard_margin import HardMargin
from replica.losses.hinge import Hinge
from replica.losses.linear import Linear
from replica.losses.logistic import Logistic
from replica.losses.smooth import SmoothLoss
from replica.losses.square import Square
from replica.losses.squared_hinge import SquaredHinge

__all__ = [
    "Exponential",
    "HardMargin",
    "Hinge",
    "Linear",
    "Logistic",
    "Loss",
    "SmoothLoss",
    "Square",
    "SquaredHinge",
]
