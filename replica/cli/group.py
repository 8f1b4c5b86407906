"""The `replica` command itself: the list of its commands."""

from __future__ import annotations

from replica.cli.exponents import exponents
from replica.cli.optimum import optimum
from replica.cli.path import path
from replica.cli.predict import predict
from replica.cli.rules import rules
from replica.cli.solve import solve
from replica.common.terminal import completion, group

__all__ = ["main"]

EXAMPLES = """\b
Examples:
  replica solve --alpha 5 --lam 4.5               # one point
  replica solve --alpha 5 --lam inf --certify 30  # thirty digits
  replica path --alpha 5 -o path.csv              # the whole curve
  replica rules --alpha 5                         # the classical rules
  replica optimum --alpha 1e4 --inputs power-law:1.5,0.3
  replica exponents --capacity 1.5 --source 0.3
  replica predict data.csv --label y              # best C of your own table

\b
Norms: the loss is log(1 + exp(-2 lam Delta)) on the sphere |w|^2 = N. The
textbook loss log(1 + exp(-z)) at weight norm |w| has lam = |w|/(2 sqrt(N)),
and lam = |w|/2 where the inputs count modes.
"""


@group("replica", EXAMPLES)
def main() -> None:
    """Solve the perceptron at fixed norm.

    How well the minimiser of the logistic loss generalizes at every norm lam: from Hebb
    (lam = 0) through the optimum to maximum stability (lam = inf).
    """


for command in (solve, path, optimum, rules, exponents, predict, completion(main, "replica")):
    main.add_command(command)
