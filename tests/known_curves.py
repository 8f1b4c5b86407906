"""Synthetic sweeps of known exponents: with the noise of a real one, and without any."""

import numpy as np
import pandas as pd

from replica.scaling import curves_from_table, synthetic_curves

P = 1000.0 * 2.0 ** np.arange(7)
#: Standard errors within which an estimate from one set of curves has to lie: p = 6e-5, and
#: the seeds of these tests are fixed.
FAR = 4.0
#: Repetitions: an error bar good to 13%.
FEW = 30
#: Noiseless curves, a fit that is exact: what is left is where the fit stops.
EXACT = 1e-4


def curves_of(law, seeds=5, seed=0, P=P, **options):
    table = synthetic_curves(law, P.tolist(), seeds, np.random.default_rng(seed), **options)
    return curves_from_table(table)


def noiseless(law, P=P, records=60, past=2.5):
    """Averaged curves without noise."""
    frames = []
    for count in P:
        last = float(law.log_lam_opt(count)) if law.rise else float(law.log_elbow(count)) + 4
        x = np.linspace(0, last + past, records)
        frames.append(pd.DataFrame({"P": count, "log_norm": x, "test_error": law(x, count)}))
    return pd.concat(frames, ignore_index=True)
