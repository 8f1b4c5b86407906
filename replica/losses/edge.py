r"""Losses with a soft edge: V'(D) ~ -1/(floor + e^y), y = rate D.

Floor 1 is the logistic loss, floor 0 the exponential one. At the proximal point
rate * u = exp(L)/(floor + e^y) and rate * t = y - rate * u (docs/theory.md, eq. 17): explicit in y,
so that y is the variable of integration. Everything about one of them is in ``rate`` and ``L``.
"""

from __future__ import annotations

from math import ceil, exp, log, log1p

import numpy as np
from numpy.typing import NDArray

from replica.common.compiled import kernel
from replica.quadrature import (
    CAPACITY,
    CURVED,
    FIELD,
    GAUSS_WIDTH,
    MARGIN,
    MAX_EDGES,
    PUSH,
    REACH,
    ROWS,
    SLOPE,
    WIDTH,
    Breaks,
    Nodes,
    Rule,
    gauss_legendre,
    workspace,
)

__all__ = ["field_of_margin", "nodes", "proximal"]

Array = NDArray[np.float64]

#: Widest panel in eta; the poles of the logistic lie pi away from the real axis.
ETA_WIDTH = 3.0
#: Right of the edge u falls like exp(-eta): exp(-40) = 4e-18.
ETA_REACH = 40.0


@kernel
def softplus(y):
    """log(1 + exp(y)), without overflow or cancellation."""
    if y > 0.0:
        return y + log1p(exp(-y))
    return log1p(exp(y))


@kernel
def origin(edge):
    """Where the offset eta = y - origin starts.

    At large lam y reaches 1e8 and its last digit is worth 1e-8 in q; measured
    from the edge L the subtraction L - y is exact.
    """
    return edge if edge > 0.0 else 0.0


@kernel
def at_offset(floor, edge, eta):
    """y, q = rate * u and r = -dlog q/dy at offset ``eta`` from `origin`."""
    if edge > 0.0:
        y = edge + eta
        if floor == 0.0:
            return y, exp(-eta), 1.0
        if y > 0.0:
            e = exp(-y)
            return y, exp(-eta) / (1.0 + e), 1.0 / (1.0 + e)
        e = exp(y)
        return y, exp(edge) / (1.0 + e), e / (1.0 + e)
    y = eta
    if floor == 0.0:
        return y, exp(edge - y), 1.0
    if y > 0.0:
        e = exp(-y)
        return y, exp(edge) * e / (1.0 + e), 1.0 / (1.0 + e)
    e = exp(y)
    return y, exp(edge) / (1.0 + e), e / (1.0 + e)


@kernel
def rounded_off(a, b, total):
    """What ``total``, the rounded a + b, leaves out, exactly (Knuth's two-sum)."""
    of_b = total - a
    return (a - (total - of_b)) + (b - of_b)


@kernel
def offset(floor, edge, at):
    """Solve y - q(y) = at for the offset eta of y, by Newton in w = log q.

    The equation w + softplus(at + exp(w)) = L is increasing and convex in w:
    Newton from above converges monotonically and quadratically.
    """
    w = edge - at if floor == 0.0 else edge - softplus(at)
    if w > 0.0:
        # both w and, as softplus(y) >= y, log(L - at) bound the root from above
        w = min(w, log(max(edge - at, 1.0)))
    for _ in range(60):
        q = exp(w)
        y = at + q
        if floor == 0.0:
            value = w + y - edge
            slope = 1.0 + q
        else:
            value = w + softplus(y) - edge
            r = 1.0 / (1.0 + exp(-y)) if y > -700.0 else 0.0
            slope = 1.0 + q * r
        step = value / slope
        w -= step
        if abs(step) < 1e-14 * max(1.0, abs(w)):
            break
    q = exp(w)
    if edge > 0.0:
        y = at + q
        if floor == 0.0:
            return -w
        if y > 0.0:
            return -w - log1p(exp(-y))
        return y - edge
    return at + q


@kernel
def march(floor, left, right, zero, edges, n):
    """Panels from ``left`` (already there) to ``right``, wider where u varies little.

    That is right of the edge, where u has decayed, and for the logistic loss at
    negative margins (left of ``zero``), where V is a straight line.
    """
    at = left
    # An iterate far from any solution may ask for more panels than there is room for;
    # the caller then finds the last edge short of ``right`` and gives up on it.
    while right - at > ETA_WIDTH and n < len(edges) - 3:
        width = max(ETA_WIDTH, 0.6 * at)
        if floor > 0.0 and at < zero:
            width = max(ETA_WIDTH, 0.5 * (zero - at))
        if at + 1.3 * width >= right:
            at = 0.5 * (at + right)
            edges[n] = at
            n += 1
            break
        at += width
        edges[n] = at
        n += 1
    edges[n] = right
    return n + 1


@kernel
def beyond(floor, rate, edge, width):
    """How far left of the Gaussian's window examples count, because u grows exponentially there.

    u^2 ~ exp(-2 rate t) moves the Gaussian's centre by 2 rate width^2 to the left, but not beyond
    t = edge/rate, where u becomes a straight line.
    """
    if floor == 0.0 and edge < 0.0:
        return min(2.0 * rate * width * width, -edge / rate)
    return 0.0


@kernel
def panels(floor, rate, edge, breaks, count, refine, whole, edges):
    """Panel edges in eta; returns how many, 0 if too many.

    ``refine`` halves every panel that many times; ``whole`` goes on to the end
    of the window in t, where u has long vanished.
    """
    width = -breaks[0] / REACH
    more = beyond(floor, rate, edge, width)
    before = ceil(min(more / (GAUSS_WIDTH * width), 1e3)) if more > 0.0 else 0
    last = offset(floor, edge, rate * (breaks[0] - more))
    edges[0] = last
    n = 1
    zero = -origin(edge)  # where D = 0
    reach = np.inf if whole else ETA_REACH
    for i in range(1 - before, count):
        if last >= reach:
            break
        field = breaks[i] if i >= 0 else breaks[0] + more * i / before
        here = reach
        if field < np.inf and rate * field < reach - zero:
            here = min(offset(floor, edge, rate * field), reach)
        if last < zero < here:
            n = march(floor, last, zero, zero, edges, n)
            last = zero
        n = march(floor, last, here, zero, edges, n)
        last = here
        if n >= len(edges) - 3 or not np.isfinite(here):
            return 0
    for _ in range(refine):
        if 2 * n - 1 > len(edges):
            break
        for i in range(n - 1, 0, -1):
            edges[2 * i] = edges[i]
        for i in range(1, n):
            edges[2 * i - 1] = 0.5 * (edges[2 * i - 2] + edges[2 * i])
        n = 2 * n - 1
    return n


@kernel
def fill(floor, rate, edge, breaks, count, node, weight, refine, whole, values, start):
    """Nodes of the points that fit into ``values``; returns how many points that are."""
    edges = np.empty(MAX_EDGES)
    at = 0
    start[0] = 0
    for i in range(len(rate)):
        n = panels(floor, rate[i], edge[i], breaks[i], count[i], refine, whole, edges)
        if at + (n - 1) * len(node) > values.shape[1]:
            return i
        for panel in range(n - 1):
            half = 0.5 * (edges[panel + 1] - edges[panel])
            if half <= 0.0:
                continue
            middle = edges[panel] + half
            short = rounded_off(edges[panel], half, middle)
            for j in range(len(node)):
                eta = middle + half * node[j]
                y, q, r = at_offset(floor, edge[i], eta)
                # q falls like exp(-eta): at alpha = 0.001 the last digit of eta moves t by 1e-13
                short_of = short + rounded_off(middle, half * node[j], eta)
                u = (q - q * r * short_of) / rate[i]
                stretch = 1.0 + q * r
                margin = y / rate[i]
                values[FIELD, at] = margin - u
                values[PUSH, at] = u
                values[SLOPE, at] = u / stretch
                values[CURVED, at] = q * r / stretch
                values[WIDTH, at] = half * weight[j] * stretch / rate[i]
                values[MARGIN, at] = margin
                at += 1
        start[i + 1] = at
    return len(rate)


@kernel
def fill_proximal(floor, rate, edge, t, out):
    """D0(t), one field a point."""
    for i in range(len(t)):
        eta = offset(floor, edge[i], rate[i] * t[i])
        out[i] = max((origin(edge[i]) + eta) / rate[i], t[i])  # u >= 0, whatever rounding says


@kernel
def fill_field(floor, rate, edge, margin, field, slope):
    """t(D) = D + x V'(D) and dt/dD, one margin a point."""
    for i in range(len(margin)):
        eta = rate[i] * margin[i] - origin(edge[i])
        _, q, r = at_offset(floor, edge[i], eta)
        field[i] = margin[i] - q / rate[i]
        slope[i] = 1.0 + q * r


def nodes(floor: float, rate: Array, edge: Array, breaks: Breaks, rule: Rule) -> Nodes:
    """Nodes of as many of the points as fit, at least one."""
    node, weight = gauss_legendre(rule.order)
    start = np.zeros(len(rate) + 1, dtype=np.int64)
    room = CAPACITY
    while True:
        values = workspace("nodes", ROWS, room)
        done = fill(
            floor,
            rate,
            edge,
            breaks.at,
            breaks.count,
            node,
            weight,
            rule.refine,
            rule.whole,
            values,
            start,
        )
        if done:
            return Nodes(start[: done + 1], values)
        room *= 4


def proximal(floor: float, rate: Array, edge: Array, t: Array) -> Array:
    """D0(t), one field a point."""
    out = np.empty_like(t)
    fill_proximal(floor, rate, edge, t, out)
    return out


def field_of_margin(floor: float, rate: Array, edge: Array, margin: Array) -> tuple[Array, Array]:
    """t(D) and dt/dD, one margin a point."""
    field, slope = np.empty_like(margin), np.empty_like(margin)
    fill_field(floor, rate, edge, margin, field, slope)
    return field, slope
