"""Synthetic sweeps with the faults that people's tables have: the truth is known all the same."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from replica.scaling import SyntheticLaw, synthetic_curves

P = [1000.0 * 2**k for k in range(7)]
LAW = SyntheticLaw()


def _clean(rng: np.random.Generator, seeds: int = 5, law: SyntheticLaw = LAW) -> pd.DataFrame:
    return synthetic_curves(law, P, seeds, rng)


def _edited(
    table: pd.DataFrame, edit: Callable[[float, int, pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """Every curve edited by P, seed and its rows."""
    parts = [edit(p, s, rows.copy()) for (p, s), rows in table.groupby(["P", "seed"])]
    return pd.concat(parts, ignore_index=True)


def _until(rows: pd.DataFrame, part: float) -> pd.DataFrame:
    x = np.log(rows["norm"])
    return rows[x <= x.min() + part * (x.max() - x.min())]


def _from(rows: pd.DataFrame, part: float) -> pd.DataFrame:
    x = np.log(rows["norm"])
    return rows[x >= x.min() + part * (x.max() - x.min())]


def cut_short(rng):
    """Seed 0 of every P stops at 60% of its range."""
    return _edited(_clean(rng), lambda _, s, rows: _until(rows, 0.6) if s == 0 else rows)


def random_ends(rng):
    """Every seed stops somewhere between 70 and 100% of its range."""
    return _edited(_clean(rng, 7), lambda *a: _until(a[2], rng.uniform(0.7, 1.0)))


def late_start(rng):
    """Seed 1 of every P is recorded from 30% of its range on."""
    return _edited(_clean(rng), lambda _, s, rows: _from(rows, 0.3) if s == 1 else rows)


def one_at_chance(rng):
    """One seed of one P does not learn."""
    bad = rng.choice(P)
    return _edited(
        _clean(rng),
        lambda p, s, rows: rows.assign(test_error=0.9) if (p, s) == (bad, 1) else rows,
    )


def chance_at_every_P(rng):
    """One seed of every P does not learn, and its error flickers."""

    def edit(_, s, rows):
        flicker = 0.9 * np.exp(rng.normal(0, 0.01, len(rows)))
        return rows.assign(test_error=np.minimum(flicker, 1.0)) if s == 2 else rows

    return _edited(_clean(rng), edit)


def failed_evaluations(rng):
    """Three records of the table are zero."""
    table = _clean(rng)
    table.loc[rng.choice(len(table), 3, replace=False), "test_error"] = 0.0
    return table


def jumps(rng):
    """At two P a seed diverges half way, and stays three times above."""
    bad = set(rng.choice(P, 2, replace=False).tolist())

    def edit(p, s, rows):
        if p not in bad or s != 3:
            return rows
        late = np.arange(len(rows)) >= len(rows) // 2
        error = np.where(late, np.minimum(3 * rows["test_error"], 1.0), rows["test_error"])
        return rows.assign(test_error=error)

    return _edited(_clean(rng), edit)


def spikes(rng):
    """Five records of the table are twice as large as they should be, or half."""
    table = _clean(rng)
    where = rng.choice(len(table), 5, replace=False)
    table.loc[where, "test_error"] *= rng.choice([0.5, 2.0], 5)
    return table.assign(test_error=table["test_error"].clip(upper=1.0))


def unequal_numbers(rng):
    """Between 3 and 9 seeds a P."""
    count = dict(zip(P, rng.integers(3, 10, len(P)).tolist(), strict=True))
    return _edited(_clean(rng, 9), lambda p, s, rows: rows[: len(rows) if s < count[p] else 0])


def holes(rng):
    """A third of all records is missing, at random."""
    return _edited(_clean(rng), lambda *a: a[2][rng.random(len(a[2])) > 1 / 3])


def own_levels(rng):
    """Each seed has a factor of its own, 5%, and two of six stop at 65% of their range."""

    def edit(_, s, rows):
        rows = rows.assign(
            test_error=np.minimum(rows["test_error"] * np.exp(rng.normal(0, 0.05)), 1)
        )
        return _until(rows, 0.65) if s < 2 else rows

    return _edited(_clean(rng, 6), edit)


def everything(rng):
    """Seed 0 stops early and seed 1 starts late at every P; a seed at chance, one zero, a spike."""
    table = _edited(
        _clean(rng, 7),
        lambda _, s, rows: _until(rows, 0.6) if s == 0 else _from(rows, 0.2) if s == 1 else rows,
    )
    bad = (table["P"] == rng.choice(P)) & (table["seed"] == 3)
    table.loc[bad, "test_error"] = 0.9
    good = np.flatnonzero(~bad)
    zero, spike = rng.choice(good, 2, replace=False)
    table.loc[zero, "test_error"] = 0.0
    table.loc[spike, "test_error"] = min(2 * table.loc[spike, "test_error"], 1.0)
    return table


#: Twelve faults by name.
FAULTS = {
    maker.__name__: maker
    for maker in (
        cut_short, random_ends, late_start, one_at_chance, chance_at_every_P, failed_evaluations,
        jumps, spikes, unequal_numbers, holes, own_levels, everything,
    )
}  # fmt: skip
