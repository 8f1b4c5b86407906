"""
Figure 2: all curves are two functions
======================================

Ten learning curves, from one example per dimension to a million. At large alpha the early part is
one function of the norm, the late part one of lam/alpha; both are known exactly, and so is the
power law between them.
"""

from validation import style
from validation.figures import figure2

data = figure2.compute()
print(f"between the two limits eps = C (alpha lam)^(-1/2), C = {data.constant:.10f}")
print(f"lam_opt/alpha -> {data.best_ell:.10f}, alpha eps_opt -> {data.best_value:.10f}")
print("at small alpha lam_opt/alpha is", data.small_ratio.round(4), "for alpha = 1, 2, 5, 10")

# %%
# The strips at the bottom show what is left of the collapse: the relative distance of each curve
# from its limit.

with style.context():
    figure = figure2.draw(data)
