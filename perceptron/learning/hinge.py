r"""Hinge losses, exactly: proximal steps on the dual, and a duality gap that proves the answer.

With a = y x/sqrt(N), u = k - a.w - y b, and multipliers 0 <= beta <= 1 the loss is
max over beta of sum beta u. A proximal step with centre c maximises over beta

    sum_mu beta_mu u_mu - mu |beta - c|^2/2 ,   beta = clip(c + u/mu, 0, 1) ,

which makes the loss of each example a convex function with a continuous derivative, -beta, that
Newton's method minimises on the sphere or beside a ridge. Its beta is the next centre, and mu
falls: the method of multipliers, which ends after few steps since the loss is piecewise linear.

Any multipliers with sum y beta = 0 (asked for where there is an intercept) bound the least loss
from below, by k sum beta - \|sum beta a\| \|w\| on the sphere and by
k sum beta - \|sum beta a\|^2/(2 ridge) beside a ridge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from perceptron import kernels
from perceptron.data import Examples
from perceptron.learning.newton import (
    NotConverged,
    Point,
    Problem,
    free_minimum,
    sphere_minimum,
    unit_of,
)
from perceptron.learning.proximal import squares_of
from perceptron.losses import Loss

__all__ = ["Exact", "at_length", "beside_ridge"]

Array = NDArray[np.float64]

#: The first mu without a guess, in units of the margin; a choice.
FIRST_MU = 0.3
#: With one, in units of (error of the margins) / (distance of a multiplier from 0 and 1), both on
#: the examples between; and the factor by which it falls. Choices: where mu falls faster the sets
#: of examples at 0, between and at 1 change by so many that Newton's steps get short.
GUESSED_MU = 3.0
FALL = 0.5
#: Coordinate ascent: passes between two looks at all examples, the duality gap at which it ends,
#: and the rows that it may visit, in units of P. Choices that balance it and Newton's steps.
PASSES = 10
ASCENDED_GAP = 1e-5
MOST_VISITS = 150
#: From here on mu stays: Newton's matrix then has a condition number of about 1/mu.
SMALLEST_MU = 1e-8
#: Proximal steps; 4 to 15 are usual.
MOST_STAGES = 80
#: On the angle in each of them: this, or this share of mu in units of the margin.
STAGE = 1e-11
STAGE_SHARE = 1e-4
#: Next to no ridge, in units of the loss at zero weights, and the gap asked for beside it.
LEAST_RIDGE = 1e-7
ROUGH_GAP = 1e-8
#: A loss below this part of that at zero weights counts as none.
NONE = 1e-11


@dataclass(frozen=True, eq=False)
class Exact:
    """A minimiser with its proof; v and b in the units of the caller.

    ``gap`` bounds how far the objective is from the least one, in units of that at zero weights.
    ``limit`` is set instead where the norm exceeds that of the unconstrained minimiser, and
    ``attained`` where no loss is left.
    """

    v: Array
    b: float
    gap: float
    angle: float
    multipliers: Array
    steps: int
    products: int
    limit: float | None = None
    attained: bool = False


@dataclass(frozen=True, eq=False)
class _Smoothed(Loss):
    """The hinge loss of one proximal step; every example has its own."""

    margin: float
    centre: Array
    mu: float

    def multipliers(self, margins: Array) -> Array:
        return np.clip(self.centre + (self.margin - margins) / self.mu, 0.0, 1.0)

    def value(self, margins: Array) -> Array:
        beta = self.multipliers(margins)
        return beta * (self.margin - margins) - 0.5 * self.mu * (beta - self.centre) ** 2

    def slope(self, margins: Array) -> Array:
        return -self.multipliers(margins)

    def curvature(self, margins: Array) -> Array:
        signed = self.centre + (self.margin - margins) / self.mu
        return np.where((signed > 0) & (signed < 1), 1 / self.mu, 0.0)


def at_length(examples: Examples, margin: float, unit: Array, tolerance: float) -> Exact:
    r"""Minimise sum max(margin - Delta, 0) at \|w\|^2 = N, from a unit vector."""
    c = unit_of(examples)
    run = _Run(examples, margin / c, None)
    return run.minimise(unit, tolerance)


def beside_ridge(examples: Examples, margin: float, ridge: float, tolerance: float) -> Exact:
    r"""Minimise sum max(margin - y (x.v + b), 0) + ridge \|v\|^2/2, x in the unit of the inputs."""
    run = _Run(examples, margin, ridge)
    return run.minimise(np.zeros(examples.N), tolerance)


@dataclass
class _Run:
    """The proximal steps of one problem, on the sphere or beside a ridge."""

    examples: Examples
    margin: float
    ridge: float | None
    steps: int = 0
    products: int = 0

    def minimise(self, v: Array, tolerance: float) -> Exact:
        examples = self.examples
        if self.margin <= 0:  # no weights at all have no loss
            return self._answer(self._zero(), np.zeros(examples.P), 0.0, limit=0.0)
        v, centre, mu = self._ascended(v)
        best: Exact | None = None
        free: Exact | None = None
        b: float | None = None
        for _ in range(MOST_STAGES):
            loss = _Smoothed(self.margin, centre, mu)
            problem = Problem(examples, loss, matrix=True)
            b = problem.best_intercept(v) if b is None else b
            here, inside = self._stage(problem, v, b, mu)
            self.products += problem.passes
            if inside:  # the smoothed loss is least inside of the sphere, and perhaps this one
                free = free or self._almost_free()
                if free.limit is not None:
                    return free
                v, b = free.v / np.linalg.norm(free.v), None
                mu *= FALL
                if mu < SMALLEST_MU * self.margin:
                    break
                continue
            v, b = here.v, here.b
            loss_here = float(np.sum(np.maximum(self.margin - here.margins, 0.0)))
            if self.ridge is None and loss_here <= NONE * self.margin * examples.P:
                return self._answer(here, centre, 0.0, attained=True)
            centre = loss.multipliers(here.margins)
            found = self._answer(here, centre, loss_here)
            best = found if best is None or found.gap < best.gap else best
            if best.gap <= tolerance:
                return best
            mu = max(FALL * mu, SMALLEST_MU * self.margin)
        reached = np.inf if best is None else best.gap
        raise NotConverged(
            "`tolerance` must be one that rounding lets the duality gap reach; got "
            f"{tolerance:g}, reached {reached:.1e}"
        )

    def _ascended(self, v: Array) -> tuple[Array, Array, float]:
        """Weights, multipliers and mu to start from, by coordinate ascent on the dual.

        On the sphere the ridge is |sum beta a|, at which the weights of these multipliers have
        length 1. The ascent is for inputs of usual size without an intercept, which would tie the
        multipliers together; others start from nothing.
        """
        examples, k = self.examples, self.margin
        beta, mu = np.zeros(examples.P), FIRST_MU * k
        problem = Problem(examples, _Smoothed(k, beta, 1.0))
        if examples.intercept or problem.unit != 1.0:
            return v, beta, mu
        labels, root = examples.labels, np.sqrt(examples.N)
        squares = squares_of(examples)
        squares = np.where(squares > 0, squares, np.inf)  # nothing helps an input of zeros
        rng = np.random.default_rng(0)  # the order of the examples within a pass
        if self.ridge is None:
            beta[labels * problem.fields(v) < k] = 1.0
        visits = 0
        while True:
            pull = problem.combine(labels * beta)
            strength = float(np.linalg.norm(pull))
            ridge = strength if self.ridge is None else self.ridge
            if not ridge > 0:
                return v, np.zeros(examples.P), mu
            v = pull / ridge
            margins = labels * problem.fields(v)
            loss = float(np.sum(np.maximum(k - margins, 0.0)))
            between = (beta > 0) & (beta < 1)
            # the penalty, and what the dual loses: the same beside a ridge, one of them on a sphere
            gap = loss - k * float(beta.sum()) + strength**2 / ridge
            if gap <= ASCENDED_GAP * k * examples.P or visits >= MOST_VISITS * examples.P:
                break
            active = np.flatnonzero(
                between | ((beta == 0) & (margins < k)) | ((beta == 1) & (margins > k))
            )
            most = examples.N / (ridge * k)
            scaled, moving = beta * most, (v * (root / k)).astype(np.float32)
            for _ in range(PASSES):
                order = rng.permutation(active)
                kernels.ascend(examples.inputs, labels, squares, order, most, scaled, moving)
            beta = scaled / most
            visits += PASSES * max(len(active), 1)
        self.products += problem.passes + visits // examples.P
        if np.any(between):
            error = np.sqrt(np.mean((k - margins[between]) ** 2))
            distance = np.mean(np.minimum(beta[between], 1 - beta[between]))
            mu = float(np.clip(GUESSED_MU * error / distance, SMALLEST_MU * k, mu))
        return v, beta, mu

    def _zero(self) -> Point:
        return Problem(self.examples, _Smoothed(1.0, np.zeros(self.examples.P), 1.0)).at(
            np.zeros(self.examples.N), 0.0
        )

    def _almost_free(self) -> Exact:
        """The minimiser beside next to no ridge; its norm is the limit, if it lies inside."""
        run = _Run(self.examples, self.margin, LEAST_RIDGE * self.margin * self.examples.P)
        found = run.minimise(np.zeros(self.examples.N), ROUGH_GAP)
        self.steps += found.steps
        self.products += found.products
        norm = float(np.linalg.norm(found.v))
        return replace(found, limit=norm) if norm < 1 else found

    def _stage(self, problem: Problem, v: Array, b: float, mu: float) -> tuple[Point, bool]:
        """The minimum of a smoothed loss, and whether it grows with the norm there."""
        tolerance = max(STAGE, STAGE_SHARE * mu / self.margin)
        if self.ridge is not None:
            ridge = self.ridge / self.examples.P
            here, steps, _ = free_minimum(problem, v, b, ridge, tolerance=tolerance)
            self.steps += steps
            return here, False
        here, steps = sphere_minimum(problem, problem.at(v, b), tolerance)
        self.steps += steps
        return here, here.radial < -problem.noise(here)

    def _answer(
        self,
        here: Point,
        multipliers: Array,
        loss: float,
        limit: float | None = None,
        attained: bool = False,
    ) -> Exact:
        """The record, with the gap that the multipliers prove."""
        examples, v = self.examples, here.v
        beta = self._balanced(multipliers)
        problem = Problem(examples, _Smoothed(self.margin, beta, 1.0))
        pull = problem.combine(examples.labels * beta)
        self.products += problem.passes
        strength = float(np.linalg.norm(pull))
        if self.ridge is None:
            dual = self.margin * float(beta.sum()) - strength
        else:
            loss += 0.5 * self.ridge * float(v @ v)
            dual = self.margin * float(beta.sum()) - strength**2 / (2 * self.ridge)
        length = float(np.linalg.norm(v))
        with np.errstate(invalid="ignore", divide="ignore"):
            angle = float(np.linalg.norm(pull / strength - v / length))
        return Exact(
            v=v,
            b=here.b * (unit_of(examples) if self.ridge is None else 1.0),
            gap=max(loss - dual, 0.0) / (max(self.margin, 0.0) * examples.P or 1.0),
            angle=angle,
            multipliers=beta,
            steps=self.steps,
            products=self.products,
            limit=limit,
            attained=attained,
        )

    def _balanced(self, beta: Array) -> Array:
        """Multipliers whose sums over both labels are the same, where there is an intercept."""
        if not self.examples.intercept:
            return beta
        positive = self.examples.labels > 0
        sums = float(beta[positive].sum()), float(beta[~positive].sum())
        least = min(sums)
        if least == 0:
            return np.zeros_like(beta)
        return beta * np.where(positive, least / sums[0], least / sums[1])
