"""Tables of learning curves, sound ones and others, for the tests of what reads them."""

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

#: ln(norm), test error and P that no training gives, beside those that it does.
ODD_ERRORS = [0.0, 5e-324, 1e-300, 1e-101, 1e-99, 1e-16, 0.1, 0.5, 1.0]
ODD_P = [5e-324, 1e-300, 0.5, 1, 2, 3, 1000, 2.0**53, 1e18, 1e300]


def times(factor):
    """So many times the examples of the profile: for what takes a millisecond."""
    return settings(
        max_examples=max(1, int(settings().max_examples * factor)),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


def sound(P=(1000, 2000, 4000), seeds=(0, 1), records=6):
    """ln(norm) grows by 0.5 in every record, the error falls with it; all values are short."""
    rows = []
    for p in P:
        for seed in seeds:
            for record in range(records):
                rows.append((p, seed, 10 * record, 2.0**record, (48 - 4 * record + seed) / 64))
    return pd.DataFrame(rows, columns=["P", "seed", "step", "norm", "test_error"])


def expect(holds, error):
    """An error says what it should."""
    if not holds:
        raise AssertionError(f"an unclear refusal: {error}") from error


@st.composite
def odd_curves(draw):
    """Tables with the right columns and anything in them that a number may be."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, 7))
    if draw(st.booleans()):
        P = [1000.0 * 2**k for k in range(count)]
    else:
        P = draw(st.lists(st.sampled_from(ODD_P), min_size=count, max_size=count, unique=True))
    seeds = draw(st.integers(1, 3))
    records = draw(st.sampled_from([2, 8, 9, 12, 12, 12, 30]))
    width = draw(st.sampled_from([1, 1, 1, 1, 1e-3, 1e-8, 1e-14, 20, 1e4]))
    level = draw(st.sampled_from([0, 1e-9, 0.02, 0.5]))
    place = draw(st.sampled_from([0.0, -18.0, 18.0, 690.0, -1e5]))
    kind = draw(st.sampled_from(["law", "law", "law", "noise", "odd", "flat", "steep", "exact"]))
    frames = []
    for p in P:
        for seed in range(seeds):
            x = np.sort(rng.uniform(-1, 10, size=records))
            if kind == "law":
                error = 0.9 * np.exp(-0.3 * x) + 0.02 * np.exp(0.2 * x)
                error = error * np.exp(level * rng.normal(size=records))
            elif kind == "noise":
                error = rng.uniform(0, 1, size=records)
            elif kind == "odd":
                error = rng.choice(ODD_ERRORS, size=records)
            elif kind == "flat":
                error = np.where(np.arange(records) == 0, 0.31, 0.3)
            elif kind == "steep":
                error = np.exp(-rng.uniform(0, 700, size=records))
            else:
                error = np.exp(-0.3 * (x - x[0]))
            columns = {"P": p, "seed": seed, "log_norm": place + width * x}
            frames.append(pd.DataFrame({**columns, "test_error": np.clip(error, 0, 1)}))
    return pd.concat(frames, ignore_index=True)
