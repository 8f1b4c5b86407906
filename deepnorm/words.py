"""Numbers as they are printed: as many digits as their error bears."""

from __future__ import annotations

import math

__all__ = ["places", "power_of_ten", "quoted", "rounded"]


def rounded(value: float, error: float) -> tuple[str, str]:
    """Value and error, to two significant digits of the error.

    Without a usable error (nan, zero or infinite) the value has four digits and the error
    is a dash; a value that is nan is a dash.
    """
    if not math.isfinite(value):
        return "-" if math.isnan(value) else f"{value}", "-"
    if not (math.isfinite(error) and error > 0):
        return f"{value:.4g}", "-"
    digits = 1 - math.floor(math.log10(error))
    if round(error, digits) >= 10 ** (2 - digits):  # 0.0996 is 0.10
        digits -= 1
    places = max(digits, 0)
    return f"{round(value, digits):.{places}f}", f"{round(error, digits):.{places}f}"


def quoted(value: float, error: float, systematic: float = math.nan) -> str:
    """Value, statistical and systematic error: 0.210 ± 0.011 ± 0.037."""
    number, statistical = rounded(value, error)
    if statistical == "-":
        return number
    parts = [number, statistical]
    if math.isfinite(systematic):
        parts.append(f"{systematic:.{places(statistical)}f}")
    return " ± ".join(parts)


def places(number: str) -> int:
    """How many digits follow the point."""
    return len(number.partition(".")[2])


def power_of_ten(log_value: float, digits: int = 3) -> tuple[str, int]:
    """Mantissa and power of exp(log_value), which may lie beyond the range of a double."""
    power = math.floor(log_value / math.log(10))
    mantissa = f"{math.exp(log_value - power * math.log(10)):.{digits - 1}f}"
    if mantissa.startswith("10"):  # 9.996 is 1.00e1
        return f"{1:.{digits - 1}f}", power + 1
    return mantissa, power
