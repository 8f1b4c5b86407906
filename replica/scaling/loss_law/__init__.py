"""The loss of a network of N parameters trained on D examples, L = E + A N^-alpha + B D^-beta.

The law of J. Hoffmann et al. (2022, arXiv:2203.15556), section 3.3, with intervals and a verdict on
whether the runs determine it; section 14 of `docs/scaling.md`.
"""

from replica.scaling.loss_law.fit import fit_loss_law
from replica.scaling.loss_law.record import Interval, LossLawFit

__all__ = ["Interval", "LossLawFit", "fit_loss_law"]
