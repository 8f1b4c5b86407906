"""What each operator does to norms: one rule for every operator that is known, a room a kind.

A rule is told of one call, with its arguments by the names of the schema, and adds nodes to the
graph. `RULES` maps names of operators to rules; an operator without one is taken apart into
others where torch knows how, and is unknown otherwise.
"""

from deepnorm.norms.rules import (  # noqa: F401  (each enters its rules)
    attention,
    convolutions,
    entrywise,
    fourier,
    lookups,
    matrices,
    normalisations,
    pooling,
    products,
    rearrangements,
    sums,
)
from deepnorm.norms.rules.registry import RULES

__all__ = ["RULES"]
