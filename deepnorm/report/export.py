"""An analysis as one JSON object, and the user's own optima read from one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replica.common.arguments import InvalidArgument

if TYPE_CHECKING:
    import pandas as pd

    from replica.scaling import Analysis, Estimate

__all__ = ["EXPONENTS", "as_json", "jsonable", "read_optimum"]

#: The estimates of an analysis, in the order in which they are told.
EXPONENTS = ("gamma_1", "gamma_2", "gamma_pred", "gamma_meas", "gamma_2_elbow", "drift")
#: What is told of a collapse.
COLLAPSE = (
    *("at", "verdict", "sentence", "residual", "residual_raw", "spread"),
    *("ratio", "ratio_low", "ratio_high", "quality", "quality_raw", "rms", "rms_raw", "from_P"),
)
#: Beyond this logarithm exp overflows, and below minus this it is not normal.
RANGE = 708.0


def as_json(analysis: Analysis) -> dict[str, Any]:
    """An analysis as a dictionary that JSON can hold.

    Every estimate becomes six keys: its name, and the name with ``_error``, ``_low``, ``_high``
    (95%, statistical), ``_systematic`` and ``_reason``. What belongs to a P is a list, by
    increasing `P`: `lambda_opt` is null beyond the range of a double, `log_lambda_opt`
    (natural) never is. Tables are lists of objects; `seeds_unlike` is `Analysis.seeds`, all of
    those of which a flag names a few. nan is null, the infinities are "inf" and "-inf".
    """
    record: dict[str, Any] = {"method": analysis.method, "averaged": analysis.averaged}
    for name in EXPONENTS:
        record |= _estimate(name, getattr(analysis, name))
    record["difference"] = analysis.difference
    record |= _optima(analysis.optima)
    for name, found in (
        ("collapse", analysis.collapse),
        ("collapse_elbow", analysis.collapse_elbow),
    ):
        record[name] = found and {part: getattr(found, part) for part in COLLAPSE}
    for name, part in (("regimes", analysis.regimes), ("joint", analysis.joint)):
        record[name] = part and {field.name: getattr(part, field.name) for field in fields(part)}
    record["forecast"] = analysis.forecast and {
        "fitted_to": analysis.forecast.fitted_to,
        "table": analysis.forecast.table,
    }
    record["flags"] = [
        {"kind": str(flag.kind), "text": flag.text, "P": flag.P, "seed": flag.seed}
        for flag in analysis.flags
    ]
    record["seeds_unlike"] = analysis.seeds
    record["choices"] = analysis.choices
    record["local_fits"] = analysis.local_fits
    record["settings"] = analysis.settings
    record["covariance"] = analysis.covariance.to_dict()
    converted: dict[str, Any] = jsonable(record)
    return converted


def _estimate(name: str, estimate: Estimate) -> dict[str, Any]:
    """An estimate by keys."""
    return {
        name: estimate.value,
        f"{name}_error": estimate.error,
        f"{name}_low": estimate.low,
        f"{name}_high": estimate.high,
        f"{name}_systematic": estimate.systematic,
        f"{name}_reason": estimate.reason,
    }


def _optima(optima: pd.DataFrame) -> dict[str, Any]:
    """The table of optima as lists by P."""
    names = {
        "P": "P",
        "seeds": "seeds",
        "log_lam_opt": "log_lambda_opt",
        "log_lam_opt_error": "log_lambda_opt_error",
        "log_lam_min": "log_lambda_min",
        "eps_opt": "eps_opt",
        "log_eps_opt_error": "log_eps_opt_error",
        "at_end": "at_end",
        "flat": "flat",
        "seed_log_lam_opt": "seed_log_lambda_opt",
        "seed_log_lam_opt_error": "seed_log_lambda_opt_error",
        "log_elbow": "log_lambda_elbow",
        "log_elbow_error": "log_lambda_elbow_error",
    }
    lists: dict[str, Any] = {ours: optima[theirs].tolist() for theirs, ours in names.items()}
    logarithms = lists["log_lambda_opt"]
    lists["lambda_opt"] = [math.exp(x) if abs(x) < RANGE else None for x in logarithms]
    return lists


def jsonable(value: Any) -> Any:
    """What JSON can hold: null for nan, "inf" and "-inf" for the infinities, tables as lists."""
    if hasattr(value, "to_dict"):  # a table
        return jsonable(value.to_dict(orient="records"))
    if hasattr(value, "tolist"):  # numpy's
        return jsonable(value.tolist())
    if isinstance(value, Mapping):
        return {str(name): jsonable(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [jsonable(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def read_optimum(path: str, P: Sequence[float]) -> dict[float, float]:
    """The user's own lam_opt by P from a JSON object with lists `P` and `mean_optimal_norm`.

    Other keys are ignored. ``P`` are those of the curves, each of which needs a norm.

    Raises
    ------
    ValueError
        If the file is no such object, or its values of P are not those of the curves.
    OSError
        If it cannot be read.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON or of UTF-8
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise ValueError(f"{path} must hold a JSON object with `P` and `mean_optimal_norm`")
    lists = {}
    for name in ("P", "mean_optimal_norm"):
        if name not in record:
            raise ValueError(f"{path} lacks `{name}`; it has {', '.join(record) or 'no keys'}")
        values = record[name]
        if not isinstance(values, list) or not all(map(_positive, values)):
            raise InvalidArgument(
                name, f"in {path} must be a list of positive numbers", f"{values}"
            )
        lists[name] = [float(value) for value in values]
    counts = [len(values) for values in lists.values()]
    if counts[0] != counts[1]:
        raise InvalidArgument(
            "P",
            f"and `mean_optimal_norm` in {path} must be as long as each other",
            f"{counts[0]} and {counts[1]}",
        )
    if sorted(lists["P"]) != sorted(P):
        raise InvalidArgument(
            "P", f"in {path} must be that of the curves, {_listed(P)}", f"{_listed(lists['P'])}"
        )
    return dict(zip(lists["P"], lists["mean_optimal_norm"], strict=True))


def _positive(value: Any) -> bool:
    """Whether it is a positive finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
