"""
Fit your own curves
===================

A table with a row for each record (P, seed, norm, test error) is all that is needed. Here it is
made from a law whose exponents are known, written as a CSV, and read back as yours would be.
"""

import tempfile
from pathlib import Path

import numpy as np

from deepnorm.figures import curves, style
from replica.scaling import SyntheticLaw, analyse, read_curves, synthetic_curves

LAW = SyntheticLaw(gamma_1=0.3, gamma_2=0.9)
table = synthetic_curves(LAW, 1000.0 * 2 ** np.arange(7), seeds=5, rng=np.random.default_rng(1))
with tempfile.TemporaryDirectory() as folder:
    table.to_csv(Path(folder, "curves.csv"), index=False)
    found = analyse(read_curves(Path(folder, "curves.csv")), bootstrap=200)

# %%
# The first error is statistical, from a bootstrap over the seeds; the second is half of the range
# over all windows that describe the data as well.

TRUTH = {"gamma_1": 0.3, "gamma_2": 0.9, "gamma_pred": 0.27, "gamma_meas": 0.27}
for name, truth in TRUTH.items():
    estimate = getattr(found, name)
    print(f"{name:10} {estimate.value:.4f} +- {estimate.error:.4f} +- {estimate.systematic:.4f}")
    print(f"{'':10} 95% interval {estimate.low:.4f} to {estimate.high:.4f}; truth {truth}")
print(*found.flags, sep="\n")

# %%
# From a shell the same is ``deepnorm fit curves.csv --report report.html``.

with style.context():
    figure = curves.draw(found)
