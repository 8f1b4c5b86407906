"""Discrete Fourier transforms: unitary but for their normalisation."""

from __future__ import annotations

import math

from deepnorm.norms.calls import Call
from deepnorm.norms.rules.registry import rule

__all__: list[str] = []

#: What torch divides n numbers by, by its code: nothing, their root, their number.
POWERS = {0: 0.0, 1: 0.5, 2: 1.0}


@rule("_fft_c2c", "_fft_r2c", "_fft_c2r")
def transformed(call: Call) -> None:
    """The root of n without a normalisation, over all axes transformed.

    A spectrum of which half is kept has no larger norm. The half of one that becomes real numbers
    stands for its mirror image too, but for the first frequency and, at even n, the middle one.
    """
    data, axes = call["self"], list(call["dim"])
    sizes = [data.shape[axis] for axis in axes]
    copies = 1.0
    if call.name == "_fft_c2r":
        sizes[-1] = int(call["last_dim_size"])
        copies = 2.0 if sizes[-1] > 2 else 1.0
    count = math.prod(sizes)
    factor = math.sqrt(copies * count) / count ** POWERS[int(call["normalization"])]
    call.through(data, factor)
