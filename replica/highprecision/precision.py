"""Numbers of any precision: contexts of our own, reading and handing out."""

from __future__ import annotations

from typing import Any

import mpmath

from replica.common.arguments import InvalidArgument

Mpf = Any  # mpmath's numbers and contexts are untyped
Context = Any


class CertificationError(RuntimeError):
    """The iteration or the quadrature did not reach the digits asked for."""


def workspace(digits: int) -> Context:
    """An mpmath context of our own; the global precision is not touched."""
    context = mpmath.mp.clone()
    context.dps = digits
    return context


def public(value: Mpf) -> Mpf:
    """The same digits as an ordinary ``mpmath.mpf``."""
    return mpmath.mp.make_mpf(value._mpf_)


def number(context: Context, name: str, value: Any, *, finite: bool = False) -> Mpf:
    """One real number (float, mpf or decimal string) at full precision."""
    exact = isinstance(value, str) or hasattr(value, "_mpf_")
    try:
        result = context.mpf(value if exact else float(value))
    except (TypeError, ValueError):
        result = context.nan
    if context.isnan(result) or (finite and context.isinf(result)):
        kind = "finite number" if finite else "number"
        raise InvalidArgument(name, f"must be one {kind}", repr(value))
    return result
