"""Numbers as they are printed: as many digits as their error bears."""

from __future__ import annotations

import math

__all__ = ["covered", "places", "plain", "power_of_ten", "quoted", "rounded"]

#: Powers of ten from which to which a number is written out: 0.001 to 9999.
PLAIN = (-3, 3)


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


def plain(number: tuple[str, int]) -> str | None:
    """Mantissa and power of ten written out, from 0.001 to 9999; None beyond."""
    mantissa, power = number
    if not PLAIN[0] <= power <= PLAIN[1]:
        return None
    return f"{float(mantissa) * 10.0**power:.{max(places(mantissa) - power, 0)}f}"


def covered(gap: float, distance: float, *systematic: float) -> bool:
    """Whether systematic errors explain a gap that the statistical one does not.

    ``distance`` is the gap in units of its statistical error. Errors are added in quadrature;
    those that are nan are not known and count for nothing.
    """
    if not abs(distance) > 1:  # the statistical error suffices; or there is nothing to compare
        return False
    known = [error for error in systematic if math.isfinite(error)]
    return abs(gap) <= math.hypot(gap / distance, *known)


def power_of_ten(log_value: float, digits: int = 3) -> tuple[str, int]:
    """Mantissa and power of exp(log_value), which may leave the range of a double; 0 at -inf."""
    if log_value == -math.inf:
        return "0", 0
    power = math.floor(log_value / math.log(10))
    mantissa = f"{math.exp(log_value - power * math.log(10)):.{digits - 1}f}"
    if mantissa.startswith("10"):  # 9.996 is 1.00e1
        return f"{1:.{digits - 1}f}", power + 1
    return mantissa, power
