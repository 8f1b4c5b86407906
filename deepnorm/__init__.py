"""Learning curves of deep networks: from a table of norms and test errors to exponents.

`deepnorm fit` reads the table and writes numbers, figures and a report; the figures are in
`deepnorm.figures`. Neither needs torch. Norms of PyTorch models and sweeps over them are
reserved, with the optional dependency (``pip install "replica-learning[deep]"``).
"""
