"""Every draw of the tests hangs on one number: `TEST_SEED`, zero unless the environment says.

A test writes its seeds as it likes (`default_rng(3)`, `teacher_student(..., seed=1)`). With
`TEST_SEED=7` every generator of numpy and torch, of the test or of the library that it calls,
is seeded by 7 beside the number given, and hypothesis draws other examples; with zero by the
number alone. What is drawn without any seed is seeded here as well, so that no verdict hangs
on the hour of the day. A test that knows the very numbers of a seed, or compares
with what another process drew, is marked `pinned`.
"""

import hashlib
import os
import sys

import hypothesis
import numpy as np

TEST_SEED = int(os.environ.get("TEST_SEED", "0"))

_default_rng, _SeedSequence = np.random.default_rng, np.random.SeedSequence
_shift = TEST_SEED
_unseeded = 0


def _entropy(seed):
    """The numbers that seed instead of `seed`; what is no seed is left to numpy to refuse."""
    global _unseeded
    if seed is None:
        _unseeded += 1
        return [2**32 - 1, _unseeded, _shift]
    if _shift and isinstance(seed, int | np.integer) and seed >= 0:
        return [int(seed), _shift]
    if _shift and isinstance(seed, list | tuple) and all(isinstance(s, int) for s in seed):
        return [*seed, _shift]
    return seed


class SeedSequence(_SeedSequence):
    def __init__(self, entropy=None, **options):
        super().__init__(_entropy(entropy), **options)


def default_rng(seed=None):
    return _default_rng(_entropy(seed))


def take_over():
    """From here on generators are seeded as above; torch only where there is a shift."""
    np.random.default_rng, np.random.SeedSequence = default_rng, SeedSequence
    if not TEST_SEED:
        return  # without one torch need not be imported: it takes a second
    try:
        import torch
    except ImportError:
        return
    plain, shifted = torch.manual_seed, lambda seed: plain(_torch_seed(seed))

    class Generator(torch.Generator):
        def manual_seed(self, seed):
            return super().manual_seed(_torch_seed(seed))

    torch.manual_seed = torch.random.manual_seed = shifted
    torch.Generator = Generator


def _torch_seed(seed):
    return (seed + 7_919 * _shift) % 2**63  # a prime, lest neighbouring seeds meet


def start(pinned):
    """Before every test: the shift, or none; and the generators that know no seed."""
    global _shift, _unseeded
    _shift, _unseeded = 0 if pinned else TEST_SEED, 0
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def shift_examples(item):
    """Other examples of hypothesis, the same ones in every run."""
    if TEST_SEED and hasattr(item.obj, "hypothesis"):
        text = f"{TEST_SEED} {item.nodeid.split('[')[0]}"
        hypothesis.seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))(item.obj)
