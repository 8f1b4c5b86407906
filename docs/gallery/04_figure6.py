"""
Figure 6: margins as the norm grows
===================================

Random labels are stored by weights of growing norm: the mean margin falls while the lower edge
rises. Dots are simulated perceptrons, lines the theory; on the right, a small convolutional network
trained on MNIST.
"""

from validation import style
from validation.figures import figure6

# fewer seeds than in print, where there are 25 and with --full 250
figure6.SEEDS = 8
data = figure6.compute()
print(f"atom at kappa = {data.kappa:.6f} with weight {data.weight:.6f} in the limit of large norm")

# %%
# At finite norm the density is positive everywhere. What rises is a low quantile, here that of 1
# in 1000.

with style.context():
    figure = figure6.draw(data)
