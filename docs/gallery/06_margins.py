"""
Margins and storage
===================

Every solution carries the distribution of its training margins: density, distribution function,
quantiles, mean, samples. Here random labels are stored; beyond capacity no weights store them all,
and the library says so.
"""

import numpy as np

from deepnorm.figures import style
from replica import gardner_capacity, logistic_storage, storage_max_stability

ALPHA, LAM = 0.8, np.array([0.5, 2.0, 8.0, 32.0])
stored = logistic_storage(ALPHA, LAM)
print("stored without error:", (1 - stored.train_error).round(6), "of the labels")
print(
    "1% quantile:", stored.margins.quantile(0.01).round(4), "mean:", stored.margins.mean().round(4)
)

kappa = storage_max_stability(ALPHA)
print(f"largest stability {kappa:.6f}; capacity at that stability {gardner_capacity(kappa):.6f}")
try:
    logistic_storage(2.5, np.inf)
except ValueError as reason:
    print(reason)

# %%
# As the norm grows the density piles up at the largest stability, dotted; the right panel shows
# that stability against the number of labels.

with style.context():
    figure = style.canvas(style.FULL, 2.6)
    left, right = figure.subplots(1, 2)
    delta = np.unique(np.r_[np.linspace(-2, 4, 1001), kappa + np.linspace(-1, 1, 801) ** 3])
    for lam, density, colour in zip(LAM, stored.margins.pdf(delta[:, None]).T, style.series(4)):
        left.plot(delta, density, color=colour, label=rf"$\lambda={lam:g}$")
    left.axvline(kappa, color="0.3", ls=":", lw=1)
    left.set(xlabel=r"margin $\Delta$", ylabel=r"$P(\Delta)$", xlim=(-1, 3.5))
    left.set(yscale="log", ylim=(5e-3, 50))
    left.legend()
    style.panel(left, "a", r"margins of stored random labels, $\alpha=0.8$")
    alpha = np.linspace(0.05, 1.999, 200)
    right.plot(alpha, storage_max_stability(alpha), **style.THEORY)
    right.plot(ALPHA, kappa, **style.STAR)
    right.set(xlabel=r"examples per dimension $\alpha$", ylabel=r"largest stability $\kappa$")
    right.set(xlim=(0, 2), ylim=(0, 4))
    style.panel(right, "b", "the more labels, the less stable")
