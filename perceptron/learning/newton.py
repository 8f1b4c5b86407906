r"""Newton's method for the mean loss of the examples: on the sphere, and for free weights.

Weights are v = w/sqrt(N), fields x.v + b, and

    F(v, b) = (1/P) sum_mu V(y (x.v + b)) .

On the sphere \|v\| = 1 each step solves

    (H + mu) d = -grad F  along the sphere,  mu = -v.grad F ,

H = (1/P) sum V'' x x^T, and in free space, with r \|v\|^2/2 added, (H + r) d = -grad. b is a
coordinate without shift. In few dimensions the matrix is formed and factorised, in many the step
is found by conjugate gradients with products of the inputs alone, in single precision where
that suffices; values and gradients are in double precision.

Inputs count in a unit c of their own size, a power of two, and so do fields: whoever poses a
problem gives V(c Delta)/c in place of V, or weights in units of 1/c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigvalsh
from scipy.optimize import brentq

from perceptron.data import Examples
from perceptron.losses import Logistic, Loss
from perceptron.products import one_blas_thread
from replica.common import arguments

__all__ = ["NotConverged", "Point", "Problem", "free_minimum", "sphere_minimum"]

Array = NDArray[np.float64]

#: Newton steps of one run; 5 to 12 are usual.
MOST_STEPS = 100
#: Products with the Hessian for one Newton step.
MOST_PRODUCTS = 500
#: Squared residuals that have grown by this factor will not fall again; a choice.
DIVERGES = 1e8
#: Up to this many dimensions a factorised matrix is quicker than conjugate gradients; a choice.
DENSE_UP_TO = 32
#: Up to this many it is so where these take long: forming the matrix costs about N/6 products.
DENSE_SOMETIMES_UP_TO = 200
#: Up to this many the matrix is formed where conjugate gradients cannot tell enough.
MATRIX_UP_TO = 4000
#: Up to this norm single precision serves in the products with the Hessian: the curvatures of
#: the logistic loss then differ by few orders of magnitude.
SINGLE_UP_TO = 10.0
#: Of what the slope promises, a step must bring this share; and the halvings of one. Choices.
SHARE = 1e-4
MOST_HALVINGS = 40
#: A mean loss below this has lost its small terms to underflow.
SMALLEST_LOSS = 1e-280
#: A mean loss below this part of that at zero is its least value: margins are good to 1e-11.
REACHED = 1e-22
#: Inputs larger or smaller than this are counted in a unit of their own.
PLAIN = 1e6
#: Rounding of the gradient in units of mean |V'| and the inputs' length; some units of it.
ROUNDING = 1e-15
#: Of the bracket of an intercept, in the unit of the inputs.
MOST_DOUBLINGS = 100
#: Rows that are converted to floating point together.
BLOCK = 1024


class NotConverged(ValueError):
    """Rounding, or the number of steps, keeps the answer out of reach.

    A minimiser may well exist; see the message for what was reached.
    """


@dataclass(frozen=True, eq=False)
class Point:
    """Weights, intercept, and what the examples say there.

    Attributes
    ----------
    v : (N,) array
    b : float
    margins : (P,) array
    loss : float
        F.
    size : float
        Mean of |V|, the unit in which changes of F are counted.
    gradient : (N,) array
        Of F in v.
    along_b : float
        Derivative of F in b; zero without an intercept.
    force : float
        Mean of |V'|.
    """

    v: Array
    b: float
    margins: Array
    loss: float
    size: float
    gradient: Array
    along_b: float
    force: float

    @property
    def radial(self) -> float:
        """-v.grad F, positive where the loss falls with the norm."""
        return -float(self.v @ self.gradient)

    @property
    def tangential(self) -> Array:
        """The gradient along the sphere of a unit vector."""
        return self.gradient + self.radial * self.v

    @property
    def error(self) -> float:
        """Length of the gradient along the sphere, b included."""
        return float(np.hypot(np.linalg.norm(self.tangential), self.along_b))

    @property
    def angle(self) -> float:
        """That over the gradient along v."""
        return self.error / max(abs(self.radial), 1e-300)


class Problem:
    """The mean loss of some examples, and its derivatives.

    Parameters
    ----------
    examples : Examples
    loss : Loss
        V of the margins in the unit of the inputs, `unit_of`.
    matrix : bool
        Form the matrix of Newton's steps in any number of dimensions.
    """

    def __init__(self, examples: Examples, loss: Loss, *, matrix: bool = False):
        self.examples = examples
        self.unit = unit_of(examples)
        self.loss = loss
        self.root = np.sqrt(examples.N)
        self.passes = 0
        self.matrix = matrix or examples.N <= DENSE_UP_TO
        self._before: tuple[Array, Array] | None = None  # curvatures, and their sum in `_hessian`
        if self.matrix:
            check_matrix(examples)
        self.lam = self.loss.lam if isinstance(self.loss, Logistic) else 1.0
        # |x| of no input exceeds this, in the unit
        self.length = 1.0 + np.sqrt(examples.N) * examples.largest / self.unit

    def fields(self, v: Array) -> Array:
        """x.v for every example."""
        self.passes += 1
        return self.examples.products.fields(v * (self.root / self.unit))

    def combine(self, weights: Array) -> Array:
        """Sum of weight x over the examples."""
        self.passes += 1
        return self.examples.products.combine(weights * (self.root / self.unit))

    def at(self, v: Array, b: float) -> Point:
        """Everything at one point."""
        examples, loss = self.examples, self.loss
        p, labels = examples.P, examples.labels
        if isinstance(loss, Logistic) and not examples.intercept:  # one pass over the inputs
            self.passes += 1
            v_unit = v * (self.root / self.unit)
            fields, pull = examples.products.gradient(v_unit, loss.lam)
            gradient = pull * (self.root / self.unit / p)
            margins = labels * fields
            slope = loss.slope(margins)
        else:
            margins = labels * (self.fields(v) + b)
            slope = loss.slope(margins)
            gradient = self.combine(labels * slope) / p
        values = loss.value(margins)
        return Point(
            v=v,
            b=b,
            margins=margins,
            loss=float(np.mean(values)),
            size=float(np.mean(np.abs(values))),
            gradient=gradient,
            along_b=float(labels @ slope / p) if examples.intercept else 0.0,
            force=float(np.mean(np.abs(slope))),
        )

    def noise(self, here: Point) -> float:
        """Rounding of the gradient."""
        return ROUNDING * here.force * self.length

    def best_intercept(self, v: Array) -> float:
        """The b that minimises F at given weights: the root of its derivative, which rises."""
        if not self.examples.intercept:
            return 0.0
        labels, fields = self.examples.labels, self.fields(v)

        def slope(b: float) -> float:
            return float(labels @ self.loss.slope(labels * (fields + b)))

        low, high = -1.0, 1.0
        for _ in range(MOST_DOUBLINGS):
            below, above = slope(low), slope(high)
            if below <= 0 <= above:
                return 0.0 if below == above else float(brentq(slope, low, high, xtol=1e-12))
            low, high = (2 * low, high) if below > 0 else (low, 2 * high)
        return 0.0

    # ------------------------------------------------------------------------- steps

    def step(self, here: Point, shift: float, sphere: bool) -> tuple[Array, float]:
        """Newton's step in v and b, the shift beside H; along the sphere or not."""
        right = here.tangential if sphere else here.gradient + shift * here.v
        curvature = self.loss.curvature(here.margins)
        if self.matrix:
            return self._factorised(here, curvature, shift, right, sphere)
        return self._conjugate(here, curvature, shift, right, sphere)

    def least_curvature(self, here: Point, ridge: float | None = None) -> float:
        """Least eigenvalue of H, b included; along the sphere, or of all space beside a ridge.

        nan in too many dimensions.
        """
        n = self.examples.N
        if n > MATRIX_UP_TO:
            return np.nan
        check_matrix(self.examples)
        self._before = None  # without the rounding of updates
        matrix = self._hessian(self.loss.curvature(here.margins))
        if ridge is None:
            matrix = self._along(matrix, here.v)[0]
        else:
            matrix[np.arange(n), np.arange(n)] += ridge
        with one_blas_thread():
            return float(eigvalsh(matrix, subset_by_index=(0, 0))[0])

    def _hessian(self, curvature: Array) -> Array:
        """(1/P) sum V'' x x^T, with b as a last coordinate of input 1 if there is one."""
        examples = self.examples
        n, more = examples.N, int(examples.intercept)
        total = np.zeros((n + more, n + more))
        change = curvature
        if self._before is not None:  # a piecewise quadratic loss changes few from step to step
            since = curvature - self._before[0]
            if 2 * np.count_nonzero(since) < np.count_nonzero(curvature):
                change, total = since, self._before[1]
        with one_blas_thread():
            for sign in (1, -1):
                on = np.flatnonzero(sign * change > 0)
                for low in range(0, len(on), BLOCK):
                    rows = on[low : low + BLOCK]
                    x = np.ones((len(rows), n + more))
                    np.divide(examples.inputs[rows], self.unit, out=x[:, :n])
                    x *= np.sqrt(np.abs(change[rows]))[:, None]
                    total += sign * (x.T @ x)
        self._before = (curvature, total) if np.any(curvature == 0) else None
        return total / examples.P

    def _shift_of_b(self, here: Point, bend: float) -> float:
        """What keeps a step in b within the size of the largest input, or of b, where F is flat."""
        reach = self.examples.largest / self.unit + abs(here.b) or 1.0
        return max(abs(here.along_b) / reach - bend, 0.0)

    def _along(self, matrix: Array, v: Array) -> tuple[Array, Array, int]:
        """The matrix in a basis of the tangent space, with the reflection Q = 1 - 2 u u^T there.

        Q turns the unit vector v into the axis k of its largest component; b stays.
        """
        k = int(np.argmax(np.abs(v)))
        u = np.zeros(len(matrix))
        u[: len(v)] = v
        u[k] += np.copysign(1.0, v[k])
        u /= np.linalg.norm(u)
        right = matrix @ u
        turned = matrix - 2 * np.outer(right, u)
        turned -= 2 * np.outer(u, u @ turned)
        return np.delete(np.delete(turned, k, 0), k, 1), u, k

    def _factorised(
        self, here: Point, curvature: Array, shift: float, right: Array, sphere: bool
    ) -> tuple[Array, float]:
        n = self.examples.N
        self.passes += 1
        matrix = self._hessian(curvature)
        matrix[np.arange(n), np.arange(n)] += shift
        if self.examples.intercept:
            matrix[n, n] += self._shift_of_b(here, float(matrix[n, n]))
        target = -np.append(right, here.along_b) if self.examples.intercept else -right
        with one_blas_thread():
            if sphere:
                matrix, u, k = self._along(matrix, here.v)
                target = np.delete(target - 2 * u * (u @ target), k)
                step = np.insert(_solve(matrix, target), k, 0.0)
                step -= 2 * u * (u @ step)
            else:
                step = _solve(matrix, target)
        return step[:n], float(step[n]) if self.examples.intercept else 0.0

    def _conjugate(
        self, here: Point, curvature: Array, shift: float, right: Array, sphere: bool
    ) -> tuple[Array, float]:
        """Conjugate gradients, b eliminated.

        H is counted in units of the loss, which may be far from the range of single precision.
        """
        examples = self.examples
        n, p = examples.N, examples.P
        size = here.size if here.size > 0 else 1.0
        weights = curvature * (n / p / size / self.unit)
        right, shift = right / size, shift / size
        across, bend, along_b = np.zeros(n), 0.0, here.along_b / size
        if examples.intercept:
            across = self.combine(curvature) / (p * size)
            bend = float(np.mean(curvature))
            bend = (bend + self._shift_of_b(here, bend)) / size
            if bend > 0:
                right = right - across * (along_b / bend)
        if sphere:
            right = right - (right @ here.v) * here.v

        single = self.lam * float(np.linalg.norm(here.v)) <= SINGLE_UP_TO

        def matrix(d: Array) -> Array:
            self.passes += 1
            product = examples.products.weighted(d / self.unit, weights, single=single)
            if bend > 0:
                product -= across * ((across @ d) / bend)
            if sphere:
                product -= (product @ here.v) * here.v
            return product + shift * d

        length = float(np.linalg.norm(right))
        relative = length / max(abs(here.radial) / size, 1e-300)
        goal = min(0.1, max(relative, 1e-4)) * length
        step = np.zeros(n)
        residual = -right
        direction = residual.copy()
        first = rr = float(residual @ residual)
        sometimes = n <= DENSE_SOMETIMES_UP_TO
        most = n // 6 + 8 if sometimes else MOST_PRODUCTS
        for k in range(most):
            product = matrix(direction)
            against = float(direction @ product)
            if not against > 0:  # rounding in single precision
                step = step if k else residual
                break
            a = rr / against
            step += a * direction
            residual -= a * product
            new = float(residual @ residual)
            if new <= goal * goal or new > DIVERGES * first:  # the gradient is rounding itself
                break
            direction = residual + (new / rr) * direction
            if sphere:
                direction -= (direction @ here.v) * here.v
            rr = new
        else:  # what is found so far leads downhill; the steps to come are exact
            self.matrix = sometimes
        return step, -(along_b + float(across @ step)) / bend if bend > 0 else 0.0


def unit_of(examples: Examples) -> float:
    """1, or a power of two next to the largest input."""
    largest = examples.largest
    if largest == 0 or 1 / PLAIN <= largest <= PLAIN:
        return 1.0
    return float(2.0 ** np.floor(np.log2(largest)))


def check_matrix(examples: Examples) -> None:
    """Refuse a matrix that does not fit."""
    arguments.check_memory(
        "`examples` must leave room in memory",
        f"four matrices of {examples.N}^2 take",
        32.0 * examples.N * examples.N,
    )


def _solve(matrix: Array, right: Array) -> Array:
    """Of a matrix that is positive definite but for rounding."""
    diagonal = np.arange(len(matrix))
    scale = np.sqrt(np.maximum(matrix[diagonal, diagonal], 1e-300))  # columns of any size
    matrix = matrix / scale[:, None] / scale
    lift = 0.0
    while True:
        lifted = matrix.copy()
        lifted[diagonal, diagonal] += lift
        try:
            factor = cho_factor(lifted, lower=True, overwrite_a=True)
        except LinAlgError:
            lift = max(1e-15, 10 * lift)
            continue
        return np.asarray(cho_solve(factor, right / scale) / scale)


# ------------------------------------------------------------------------- iterations


def sphere_minimum(problem: Problem, here: Point, tolerance: float) -> tuple[Point, int]:
    """Where the angle is below the tolerance, or the line search finds nothing better."""
    for steps in range(MOST_STEPS):
        at_rest = here.error <= problem.noise(here)
        if here.angle <= tolerance or at_rest or least_reached(problem, here):
            return here, steps
        # far from the minimum the curvature of the sphere may be negative
        shift = here.radial if here.radial > 0 else float(np.linalg.norm(here.tangential))
        d, d_b = problem.step(here, shift, sphere=True)
        there = _search(problem, here, d, d_b)
        if there is None:
            return here, steps
        here = there
    return here, MOST_STEPS


def least_reached(problem: Problem, here: Point) -> bool:
    """Whether no margin is below that of the loss's minimum."""
    if not problem.loss.reaches_minimum:
        return False
    return here.size <= REACHED * problem.loss.mean(np.zeros(1))


def check_underflow(problem: Problem, here: Point, lam: float) -> None:
    """Raise where the loss is too small for its terms to be told apart."""
    if here.size < SMALLEST_LOSS and not problem.loss.reaches_minimum:
        raise NotConverged(
            f"`lam` must be small enough that exp(-2 lam Delta) of some example is not zero in "
            f"double precision (max_stability gives the limit lam -> inf); got {lam:g}"
        )


def _search(problem: Problem, here: Point, d: Array, d_b: float) -> Point | None:
    """The full step, or the best part of it, or a half of a half until the loss has fallen.

    Near the minimum, where the loss changes by less than its rounding, the gradient decides.
    """
    slope = float(here.tangential @ d) + here.along_b * d_b

    def accepted(size: float) -> Point | None:
        v = here.v + size * d
        there = problem.at(v / np.linalg.norm(v), here.b + size * d_b)
        change = _change(here, there)
        if change <= SHARE * size * slope / (here.size or 1.0):
            return there
        better = there.angle < 0.9 * here.angle or there.error < 0.9 * here.error
        return there if better and change < 1e-9 else None

    return _first(accepted, lambda: _best_size(problem, here, d, d_b, 0.0, sphere=True))


def _first(accepted: Callable[[float], Point | None], best: Callable[[], float]) -> Point | None:
    """Of the sizes 1, the best one, and its halves, the first that is accepted."""
    there = accepted(1.0)
    if there is not None:
        return there
    size = best()
    for _ in range(MOST_HALVINGS):
        there = accepted(size)
        if there is not None:
            return there
        size *= 0.5
    return None


def _best_size(
    problem: Problem, here: Point, d: Array, d_b: float, ridge: float, *, sphere: bool
) -> float:
    """The part of a step at which F is least: a root of its slope, in margins alone."""
    labels, loss = problem.examples.labels, problem.loss
    # d is perpendicular to v on the sphere, and v + s d is brought back to length 1
    square = float(d @ d)
    along, still = float(here.v @ d), labels * here.margins - here.b
    moving = problem.fields(d)

    def slope(s: float) -> float:
        nu = np.sqrt(1 + s * s * square) if sphere else 1.0
        fields = (still + s * moving) / nu
        turn = fields * (s * square / nu**2) if sphere else 0.0
        force = loss.slope(labels * (fields + here.b + s * d_b))
        change = labels * (moving / nu - turn + d_b)
        return float(force @ change) / len(labels) + ridge * (along + s * square)

    if not (slope(0.0) < 0 < slope(1.0)):
        return 0.5
    return float(brentq(slope, 0.0, 1.0, xtol=1e-300, rtol=1e-9))


def _change(here: Point, there: Point) -> float:
    """Of F in units of |V|: of its logarithm where it is positive, which may fall by hundreds."""
    if not np.isfinite(there.loss):
        return np.inf
    if here.loss > 0 and there.loss > 0:
        return float(np.log(there.loss / here.loss))
    return (there.loss - here.loss) / (here.size or 1.0)


def free_minimum(
    problem: Problem,
    v: Array,
    b: float,
    ridge: float = 0.0,
    *,
    tolerance: float,
    inside: float = np.inf,
    most_steps: int = MOST_STEPS,
) -> tuple[Point, int, bool]:
    r"""Minimise F + ridge \|v\|^2/2 over all v and b.

    Parameters
    ----------
    tolerance : float
        On the gradient, over mean |V'| and the length of the longest input: and over ridge \|v\|
        if there is a ridge and that is smaller.
    inside : float
        A norm at which to stop.

    Returns
    -------
    Point, int, bool
        Where it ended, the steps, and whether within the tolerance.
    """
    here = problem.at(v, b)
    for steps in range(most_steps):
        error = float(np.hypot(np.linalg.norm(here.gradient + ridge * here.v), here.along_b))
        length = float(np.linalg.norm(here.v))
        unit = here.force * problem.length
        if error <= tolerance * (min(unit, ridge * length) if ridge * length > 0 else unit):
            return here, steps, True
        d, d_b = problem.step(here, ridge, sphere=False)
        slope = float((here.gradient + ridge * here.v) @ d) + here.along_b * d_b
        there = _free_search(problem, here, d, d_b, ridge, slope, error)
        if there is None:
            return here, steps, False
        if np.linalg.norm(there.v) >= inside:
            return _crossing(problem, here, there, inside), steps, False
        here = there
    return here, most_steps, False


def _free_search(
    problem: Problem, here: Point, d: Array, d_b: float, ridge: float, slope: float, error: float
) -> Point | None:
    """As on the sphere, the ridge included."""
    unit = here.size + 0.5 * ridge * float(here.v @ here.v) or 1.0

    def accepted(size: float) -> Point | None:
        there = problem.at(here.v + size * d, here.b + size * d_b)
        bent = 0.5 * ridge * size * float(d @ (2 * here.v + size * d))
        change = (there.loss - here.loss + bent) / unit if np.isfinite(there.loss) else np.inf
        if change <= SHARE * size * slope / unit:
            return there
        left = float(np.hypot(np.linalg.norm(there.gradient + ridge * there.v), there.along_b))
        return there if left < 0.9 * error and change < 1e-9 else None

    return _first(accepted, lambda: _best_size(problem, here, d, d_b, ridge, sphere=False))


def _crossing(problem: Problem, here: Point, there: Point, norm: float) -> Point:
    """Where the way from one point to another leaves the ball; F is below that at its start."""
    step = there.v - here.v
    a, half, c = float(step @ step), float(here.v @ step), float(here.v @ here.v) - norm**2
    t = (-half + np.sqrt(max(half * half - a * c, 0.0))) / a if a > 0 else 0.0
    return problem.at(here.v + t * step, here.b + t * (there.b - here.b))
