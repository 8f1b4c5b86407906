"""
Figure 1: fixed norm and training
=================================

The error at fixed norm, and one perceptron whose norm grows while it is trained. The two are close,
and not the same: while it learns, the trained one lies above the curve.
"""

from validation import style
from validation.figures import figure1

# half of the dimensions in print: one sample scatters by 2%, here to below what is best on average
figure1.N = 2000
data = figure1.compute()
print(f"{data.dimensions} dimensions; the optimum {data.optimal_error:.6f} is", end=" ")
print(f"{100 * data.bayes_gap:.4f}% above Bayes, {data.bayes:.6f}")

# %%
# The drawing is that of ``python -m validation figure1``. Numbers, drawing and caption are three
# functions.

with style.context():
    figure = figure1.draw(data)
