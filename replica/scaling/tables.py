"""The paper's two tables, for any set of analyses."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from replica.scaling.record import Analysis

__all__ = ["table_1", "table_2"]


def table_1(analyses: Mapping[str, Analysis]) -> pd.DataFrame:
    """Predicted against measured exponents of eps(P), Table 1 of the paper.

    Columns `curves`, `gamma_pred`, `gamma_meas`, `sigma` (both statistical errors in quadrature, as
    in the paper), and beyond the paper `systematic` (of gamma_pred) and `difference` in
    standard errors.
    """
    rows = [
        {
            "curves": title,
            "gamma_pred": a.gamma_pred.value,
            "gamma_meas": a.gamma_meas.value,
            "sigma": float(np.hypot(a.gamma_pred.error, a.gamma_meas.error)),
            "systematic": a.gamma_pred.systematic,
            "difference": a.difference,
        }
        for title, a in analyses.items()
    ]
    return pd.DataFrame(rows)


def table_2(analyses: Mapping[str, Analysis]) -> pd.DataFrame:
    """The exponents gamma_1 and gamma_2 with their errors, Table 2 of the paper.

    Columns `curves`, `gamma_1`, `sigma_1`, `systematic_1`, `gamma_2`, `sigma_2`, `systematic_2`;
    gamma_2 is that of the elbows where lam_opt(P) could not be concluded.
    """
    rows = []
    for title, a in analyses.items():
        growth = a.gamma_2_elbow if a.gamma_2.reason else a.gamma_2
        rows.append(
            {
                "curves": title,
                "gamma_1": a.gamma_1.value,
                "sigma_1": a.gamma_1.error,
                "systematic_1": a.gamma_1.systematic,
                "gamma_2": growth.value,
                "sigma_2": growth.error,
                "systematic_2": growth.systematic,
            }
        )
    return pd.DataFrame(rows)
