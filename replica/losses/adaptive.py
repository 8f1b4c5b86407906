"""Losses of which only V' and V'' are known: NumPy, with panels that split themselves.

Nothing is known of where such a loss has structure, so each panel is halved
until its two halves agree with it. The margin D is the variable of
integration: t = D + x V'(D) is explicit and (1 + x V'') phi(t) W(t) is the margin
density (docs/theory.md, section 4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from replica.common.arguments import InvalidArgument
from replica.quadrature import (
    CURVED,
    FIELD,
    MARGIN,
    PUSH,
    ROWS,
    SLOPE,
    WIDTH,
    Breaks,
    Nodes,
    Rule,
    gauss_legendre,
)

if TYPE_CHECKING:
    from replica.losses.base import Loss

__all__ = ["Measure", "check", "log_typical_pull", "nodes", "proximal"]

Array = NDArray[np.float64]

#: A panel is done when halving it changes each integral by less than this part of the whole.
SPLIT_TOLERANCE = 1e-14
#: First cuts where u has fallen by factors exp(LEVEL), down to 1e-18.
LEVEL, LEVELS = 3.0, 14
#: Rounds of halving: from panels of width 3 down to widths of 1e-8.
ROUNDS = 28
#: The sum stops splitting at so many panels: rounding noise, not structure.
MOST_PANELS = 4096
#: A panel left of the window counts if it adds more than this part to A; and the most of them,
#: which leads to where a Gaussian has left the doubles.
UNSEEN, MOST_BEYOND = 1e-17, 12


#: A jump of V' by less than this part of its size is not looked for; nor a rise within more than
#: this width, which V'' of 1e6 would give.
KINK, KINK_WIDTH = 1e-4, 1e-10


class Measure(Protocol):
    """The measure of the field, as far as panels look at it."""

    def __getitem__(self, which: slice, /) -> Measure:
        """The measures of some of the points."""

    def weights(self, nodes: Nodes) -> Array:
        """Rows: weight of a node in an average over the labels, and in the pull B."""


def check(loss: Loss, *, kinks: bool = False) -> None:
    """Compare V, V' and V'' with differences of one another, and V'' with zero.

    ``kinks``: whether V' may jump.

    Raises
    ------
    InvalidArgument
        If they are no functions of arrays, no derivatives of one another, or if V'' < 0.
    """
    name = getattr(loss, "name", type(loss).__name__)
    # bends of V at a few margins are allowed, and the grid avoids round numbers
    margin = np.linspace(-6.03, 6.07, 61)
    h = 1e-5
    with np.errstate(all="ignore"):
        ends = [margin - h, margin, margin + h]
        try:
            v, dv, d2v = (
                np.stack([np.asarray(f(d), dtype=float) for d in ends])
                for f in (loss.value, loss.derivative, loss.curvature)
            )
        except (TypeError, ValueError) as error:
            raise InvalidArgument(
                "V",
                "must take a float64 array and return one of its shape, as dV and d2V",
                f"{error}",
            ) from error
        if not v.shape == dv.shape == d2v.shape == (3, len(margin)):
            raise InvalidArgument(
                "V",
                "must return an array of the shape that it is given, as dV and d2V",
                f"shapes {v.shape[1:]}, {dv.shape[1:]}, {d2v.shape[1:]} for {margin.shape}",
            )
        for which, values in (("V", v), ("dV", dv), ("d2V", d2v)):
            # an exponential may overflow on one side, but not everywhere
            if np.isnan(values).any() or np.isinf(values).mean() > 0.5:
                wrong = margin[~np.isfinite(values[1])]
                raise InvalidArgument(
                    which,
                    "must be a number at every margin and finite at most",
                    f"nan or inf at {len(wrong)} of {len(margin)} margins from {margin[0]} to "
                    f"{margin[-1]}, first at {wrong[:1]}",
                )
        for which, claimed, values in (("dV", dv, v), ("d2V", d2v, dv)):
            found = (values[2] - values[0]) / (2 * h)
            noise = 1e-15 * np.abs(values[1]) / h
            wrong = np.abs(found - claimed[1]) > 1e-4 * (np.abs(claimed[1]) + h) + 10 * noise
            if wrong.sum() > len(margin) // 10:
                i = np.flatnonzero(wrong)[0]
                raise InvalidArgument(
                    which,
                    f"must be the derivative of `{'V' if which == 'dV' else 'dV'}`: "
                    f"at margin {margin[i]:.4g} it is {claimed[1][i]:.6g}, differences give "
                    f"{found[i]:.6g}",
                    name,
                )
        if not kinks:
            _check_kinks(loss, margin)
        if (d2v[1] < 0).any():
            i = np.flatnonzero(d2v[1] < 0)[0]
            raise InvalidArgument(
                "d2V",
                f"must not be negative (the loss must be convex): at margin {margin[i]:.4g}",
                f"{d2v[1][i]:.6g}",
            )


def _check_kinks(loss: Loss, margin: Array) -> None:
    """Refuse a V' that jumps, where V'' says nothing of it.

    Each cell whose ends differ by other than the integral of V'' is halved, towards the half
    that differs more, down to a width at which no smooth V' differs.
    """
    node, weight = gauss_legendre(20)

    def excess(left: Array, right: Array) -> tuple[Array, Array]:
        """What the integral of V'' leaves of the rise of V', and the rise."""
        half = 0.5 * (right - left)[:, None]
        inside = np.asarray(loss.curvature(left[:, None] + half * (1 + node)), dtype=float)
        rise = np.asarray(loss.derivative(right), dtype=float) - loss.derivative(left)
        return np.abs(rise - np.sum(half * weight * inside, axis=1)), np.abs(rise)

    left, right = margin[:-1], margin[1:]
    size = float(np.median(np.abs(loss.derivative(margin))))
    off = excess(left, right)[0]
    here = np.flatnonzero(np.isfinite(off) & (off > KINK * size))
    left, right = left[here], right[here]
    while len(left) and (right - left).max() > KINK_WIDTH:
        middle = 0.5 * (left + right)
        later = excess(middle, right)[0] > excess(left, middle)[0]
        left, right = np.where(later, middle, left), np.where(later, right, middle)
    if len(left):
        jump = excess(left, right)[0]
        i = int(np.argmax(jump))
        if jump[i] > KINK * size:
            raise InvalidArgument(
                "dV",
                "must be continuous (a kink needs the pieces of a `PiecewiseLoss`): at margin "
                f"{left[i]:.6g} it jumps",
                f"by {jump[i]:.6g}",
            )


def log_typical_pull(loss: Loss, parameter: Array, kappa: Array) -> Array:
    """log(-V') at a typical margin, left of the minimum of V if it has one.

    Raises
    ------
    InvalidArgument
        If V' is nowhere negative: such a loss never raises a margin.
    """
    loss = loss.with_parameter(parameter)
    result = np.full(len(kappa), np.nan)
    # factors of two downwards from kappa, then to negative margins
    for margin in [kappa * 2.0**-j for j in range(12)] + [-(2.0**j) for j in range(-8, 8)]:
        pull = -loss.derivative(np.broadcast_to(margin, kappa.shape))
        new = np.isnan(result) & (pull > 0)
        result[new] = np.log(pull[new])
    if np.isnan(result).any():
        raise InvalidArgument(
            "dV", "must be negative at some margin of [-128, kappa]", "no such margin"
        )
    return result


def proximal(loss: Loss, x: Array, t: Array) -> Array:
    """D0(t): the root of D + x V'(D) = t, by bisection and then Newton.

    ``x`` and ``t`` are arrays of one shape. The left side increases with D.
    """
    low, high = t - 1.0, t + 1.0
    with np.errstate(over="ignore", invalid="ignore"):  # far from the root x V' may overflow
        return _proximal(loss, x, t, low, high)


def _proximal(loss: Loss, x: Array, t: Array, low: Array, high: Array) -> Array:
    for _ in range(60):
        short = high + x * loss.derivative(high) < t
        if not short.any():
            break
        high = np.where(short, t + 2 * (high - t), high)
    for _ in range(60):
        long = low + x * loss.derivative(low) > t
        if not long.any():
            break
        low = np.where(long, t + 2 * (low - t), low)
    margin = 0.5 * (low + high)
    for _ in range(200):
        value = margin + x * loss.derivative(margin) - t
        low = np.where(value <= 0, margin, low)
        high = np.where(value >= 0, margin, high)
        step = value / (1 + x * loss.curvature(margin))
        newton = margin - step
        inside = (newton > low) & (newton < high)
        new = np.where(inside, newton, 0.5 * (low + high))
        done = np.abs(new - margin) <= 4e-16 * np.maximum(1e-300, np.abs(new))
        margin = new
        if done.all() or np.all(high - low <= 4e-16 * np.abs(margin)):
            break
    return margin


def nodes(
    loss: Loss, parameter: Array, b: Array, breaks: Breaks, rule: Rule, measure: Measure
) -> Nodes:
    """Nodes of every point, on panels that were halved until nothing changed."""
    start, columns = [0], []
    # an iterate far from any solution may leave the doubles; its nan tells the solver
    with np.errstate(all="ignore"):
        for i in range(len(b)):
            here = measure[i : i + 1]
            fields = breaks.at[i, : breaks.count[i]]
            found = _nodes_of_one(
                loss.with_parameter(parameter[i]), np.exp(b[i]), fields, rule, here
            )
            columns.append(found)
            start.append(start[-1] + found.shape[1])
    return Nodes(np.array(start), np.concatenate(columns, axis=1))


def _nodes_of_one(loss: Loss, x: float, fields: Array, rule: Rule, measure: Measure) -> Array:
    node, weight = gauss_legendre(rule.order)
    fields = _as_far_as_it_pushes(loss, x, fields, measure, node, weight)
    edges = proximal(loss, np.full_like(fields, x), fields)
    if not np.isfinite(edges).all():
        return np.empty((ROWS, 0))
    if edges[0] < 0 < edges[-1]:  # so that whole panels have negative margins
        edges = np.unique(np.append(edges, 0.0))
    edges = np.unique(np.concatenate([edges, _levels(loss, edges[0], edges[-1])]))
    middle = 0.5 * (edges[0] + edges[-1])
    left, right = edges[:-1], edges[1:]

    def integrals(left: Array, right: Array) -> Array:
        """What decides about a panel, (panels, columns): A, B, G, and the mean of D and V."""
        values = _values(loss, x, left, right, node, weight)
        counted = measure.weights(Nodes(np.array([0, values.shape[1]]), values))
        mass, pull = counted[0, : values.shape[1]], counted[1, : values.shape[1]]
        columns = [mass * values[PUSH] ** 2, pull * values[PUSH], mass * values[CURVED]]
        if rule.observables:
            columns += [mass * loss.value(values[MARGIN]), mass * (values[MARGIN] - middle)]
        return np.stack(columns, axis=1).reshape(len(left), len(node), -1).sum(axis=1)

    done_left, done_right = [], []
    values = integrals(left, right)
    total = np.zeros(values.shape[1])
    for _ in range(ROUNDS):
        cut = 0.5 * (left + right)
        left, right = np.stack([left, cut], 1).ravel(), np.stack([cut, right], 1).ravel()
        halves = integrals(left, right)
        pairs = halves.reshape(-1, 2, halves.shape[1]).sum(axis=1)
        scale = np.abs(total + pairs.sum(axis=0))
        wrong = np.abs(pairs - values) > SPLIT_TOLERANCE * np.where(scale > 0, scale, np.inf)
        both = np.repeat(wrong.any(axis=1), 2)
        total += halves[~both].sum(axis=0)
        done_left.append(left[~both])
        done_right.append(right[~both])
        left, right, values = left[both], right[both], halves[both]
        if len(left) == 0 or len(left) > MOST_PANELS:
            break
    left = np.concatenate([*done_left, left])
    right = np.concatenate([*done_right, right])
    return _values(loss, x, left, right, node, weight)


def _as_far_as_it_pushes(
    loss: Loss, x: float, fields: Array, measure: Measure, node: Array, weight: Array
) -> Array:
    """The window, with the panels left of it that add to A: a push may grow exponentially."""
    for _ in range(MOST_BEYOND):
        wider = np.append(2 * fields[0] - fields[1], fields)
        edges = proximal(loss, np.full_like(wider, x), wider)
        values = _values(loss, x, edges[:-1], edges[1:], node, weight)
        mass = measure.weights(Nodes(np.array([0, values.shape[1]]), values))[0, : values.shape[1]]
        parts = (mass * values[PUSH] ** 2).reshape(len(fields), -1).sum(axis=1)
        if not parts[0] > UNSEEN * parts.sum():
            break
        fields = wider
    return fields


def _levels(loss: Loss, low: float, high: float) -> Array:
    """Margins at which u has fallen to exp(-3), exp(-6), ... of its largest value.

    V is convex, so u falls from left to right. Without these cuts a decay far
    narrower than the first panels could slip between their nodes.
    """
    target = np.exp(-LEVEL * np.arange(1, LEVELS)) * loss.derivative(np.array([low]))
    left, right = np.full(LEVELS - 1, low), np.full(LEVELS - 1, high)
    for _ in range(50):
        middle = 0.5 * (left + right)
        above = loss.derivative(middle) < target
        left, right = np.where(above, middle, left), np.where(above, right, middle)
    return 0.5 * (left + right)


def _values(loss: Loss, x: float, left: Array, right: Array, node: Array, weight: Array) -> Array:
    """The rows of `replica.quadrature.Nodes` on panels of the margin."""
    half = 0.5 * (right - left)[:, None]
    margin = (left[:, None] + half * (1 + node)).ravel()
    u = -x * loss.derivative(margin)
    q = x * loss.curvature(margin)
    values = np.empty((ROWS, len(margin)))
    values[FIELD] = margin - u
    values[PUSH] = u
    values[CURVED] = q / (1 + q)
    values[SLOPE] = u / (1 + q)
    values[WIDTH] = (half * weight).ravel() * (1 + q)
    values[MARGIN] = margin
    return values
