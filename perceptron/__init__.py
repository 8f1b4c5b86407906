"""Reserved for the large-N simulations that check the theory; no code yet.

The package will train perceptrons of finite size by gradient descent and compare
nothing by itself: it never imports `replica`, so that an agreement between the two
is an agreement between independent codes.
"""
