"""Samples of y = q + k x^(-gamma): where, what, and with which errors."""

import numpy as np

X = np.geomspace(1e3, 1e5, 12)


def law(x, gamma, q, k=1.0, unit=1e4):
    return q + k * (x / unit) ** -gamma


def sample(seed, relative, count=12, size=0.02):
    """A noisy law with unequal errors."""
    rng = np.random.default_rng(seed)
    x = np.sort(np.exp(rng.uniform(5, 11, count)))
    y = law(x, *rng.choice([(0.4, 0.3), (1.5, 0.1), (-0.8, 0.5), (0.2, 0.0), (0.6, 0.02)]))
    errors = size * np.exp(0.3 * rng.normal(size=count))
    noise = errors * rng.normal(size=count)
    return x, (y * np.exp(noise) if relative else y + noise), errors


def given_as(errors, relative):
    return {"relative": errors} if relative else {"sigma": errors}
