r"""Endlessly many examples at a fixed norm: the early curve that all numbers of examples share.

With inputs whose eigenvalues differ, the minimiser at norm lam does not find the teacher
however many examples there are: short weights prefer directions of large variance. Its
error as a function of lam is the early law of structured inputs. Derived in
docs/theory.md, section 10.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import elementwise
from scipy.special import expit, log_expit, log_ndtr, ndtr, roots_legendre

from replica import ranges
from replica.common import arguments
from replica.common.refusals import Refusals
from replica.inputs import Clusters, Inputs, Isotropic
from replica.losses import HardMargin, Logistic, Loss
from replica.losses.base import Force
from replica.nodes import Nodes
from replica.solution import CONVERGED, Record, shaped
from replica.teachers import LabelModel, NoiseMixture, Teacher

__all__ = ["PopulationCurve", "population_curve"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
FloatOrArray = float | Array

#: Gauss-Legendre nodes of a panel, and those of the finer rule that it is compared with. Panels
#: [A, 2.5 A] have the poles of a logistic at least 7/3 half widths from their middle, so that 16
#: nodes err by 4.4^-32 = 1e-20; what is left are the panels cut by a kink or the end.
ORDER, FINER, GRADING = 16, 24, 2.5
#: The Gaussian is cut here: 1e-23 of its mass, and less than 1e-19 of any average wanted.
REACH = 10.0
#: Steepest exponential whose tilted Gaussian is followed to its new centre. With one random
#: label in 1e190 a steeper one is beyond the limit of convexity.
TILT = 30.0
#: log(mu / mean variance) beyond which Hebb's rule is reached to all digits and far more; and how
#: far below the smallest eigenvalue of a list the multiplier is looked for (mu/omega = 1e-52).
LARGEST, BELOW = 640.0, 120.0
#: Mahalanobis distance beyond which the error of clusters leaves the doubles.
FARTHEST = 37.0
#: Where the mean loss grows with lam' already here, weights do not help at all.
NO_NORM = 1e-8
#: c = R/sqrt(1 - R^2) in place of infinity: terms of the order 1/c are then beyond rounding.
NO_ANGLE = 1e18
#: In place of a sum that has underflowed.
TINY = 1e-300
#: Rounding of an average: of some thousand terms, pairwise added, each good to a few ulp.
ROUNDING = 2e-15
#: Relative error of the sums over a power law's nodes, as tested.
NODES = 2e-15
#: Points that are solved together: each takes some 20 kB in about ten arrays.
BLOCK = 256


@dataclass(frozen=True)
class PopulationCurve(Record):
    r"""The minimiser of the mean loss over all possible examples, at a fixed norm.

    All fields have the broadcast shape of the arguments. Equation numbers are those of
    docs/theory.md.

    Attributes
    ----------
    lam : float
        Norm of the weights: Euclidean if the inputs count modes, in units of sqrt(N) if they
        are a density.
    field_norm : float
        lam' = lam sqrt(Q), the norm of the field that an example sees.
    input_variance : float
        Q, the variance of the inputs along the unit student, eq. (60).
    overlap : float
        R, the correlation of the student's field with the teacher's, eq. (60); for clusters
        that with the best linear classifier.
    one_minus_overlap : float
        1 - R to full relative accuracy.
    generalization_error : float
        arccos(R)/pi against the noiseless teacher; for clusters the probability to name the
        wrong one.
    intercept : float
        For clusters of unequal size, what is added to every field, in its units; else 0.
    log_mu : float
        Logarithm of mu = nu/g, the eigenvalue at which half of a direction is learned; inf at
        lam = 0, Hebb's rule.
    error_estimate : float
        Of the relative error of ``generalization_error``: a finer quadrature, and rounding.
    status : str
        "converged", or the reason why there is no solution.
    """

    lam: FloatOrArray
    field_norm: FloatOrArray
    input_variance: FloatOrArray
    overlap: FloatOrArray
    one_minus_overlap: FloatOrArray
    generalization_error: FloatOrArray
    intercept: FloatOrArray
    log_mu: FloatOrArray
    error_estimate: FloatOrArray
    status: str | NDArray[np.object_]


def population_curve(
    lam: ArrayLike,
    *,
    inputs: Inputs,
    label_flip: ArrayLike = 0.0,
    label_noise: ArrayLike = 0.0,
    teacher: LabelModel | None = None,
    loss: Loss | None = None,
) -> PopulationCurve:
    r"""The limit of endlessly many examples at fixed norm, for inputs with structure.

    Given mu, with rho = omega/(mu + omega) and averages E over the signal of the spectrum,
    R^2 = (E rho)^2 / E rho^2 and Q = E rho^2 / E[rho^2/omega]; mu follows from the loss,
    eqs. (60)-(63) of docs/theory.md.

    Parameters
    ----------
    lam : float or array
        The norm of the weights, 0 (Hebb) or in [1e-12, 1e12].
    inputs : Spectrum, PowerLaw, MarchenkoPastur or Clusters
        Eigenvalues that differ where there is signal. (With isotropic inputs the error
        of this limit is zero; `early_law` is how it is approached.)
    label_flip, label_noise : float or array
        Noise on the teacher's labels, as in `Teacher`.
    teacher : LabelModel, optional
        Another teacher, in place of the two.
    loss : Loss, optional
        V of the margin y w.x of an example, at \|w\| = lam; log(1 + exp(-2 y w.x)) by default,
        that is `Logistic(1.0)`. Its parameter may be an array.

    Returns
    -------
    PopulationCurve
        Of the broadcast shape; Python floats for scalars.

    Raises
    ------
    InvalidArgument
        For isotropic inputs, a loss or teacher that has no such limit.
    ValueError
        For a bad number, or a norm beyond that of the unconstrained minimiser (noisy labels,
        clusters, the square loss); in arrays such entries are nan and say why in ``status``.

    Examples
    --------
    >>> from replica.inputs import PowerLaw
    >>> from replica.population import population_curve
    >>> early = population_curve([1.0, 3.0], inputs=PowerLaw(capacity=1.5, source=0.3))
    >>> early.generalization_error.round(4).tolist()
    [0.1234, 0.0754]
    """
    _check_inputs(inputs)
    loss = _checked_loss(loss)
    labels_of = _checked_teacher(teacher, label_flip, label_noise, inputs)
    given = {"lam": (lam, ranges.NORM), **labels_of.parameters()}
    if loss.parameter is not None:
        name = loss.parameter if loss.parameter != "lam" else "loss.lam"
        rule = ranges.SLOPE if name == "loss.lam" else loss.range
        given[name] = (getattr(loss, loss.parameter), rule)
    shape, flat = arguments.broadcast({name: value for name, (value, _) in given.items()})
    refusals = Refusals(shape)
    for name, (_, rule) in given.items():
        refusals.check(name, flat[name], rule)
    size = len(flat["lam"])
    if loss.parameter is not None:
        loss = loss.with_parameter(flat["loss.lam" if "loss.lam" in flat else loss.parameter])
    with np.errstate(over="ignore", invalid="ignore"):  # of entries that were refused
        labels = labels_of.mixture(flat, size)
    if not isinstance(inputs, Clusters):
        random = labels.storage & ~refusals.bad
        refusals.refuse(
            np.flatnonzero(random),
            "label_flip",
            "must be below 0.5 and `label_noise` finite: random labels teach nothing "
            "however many there are",
            labels.random[random],
        )
    channel: _TeacherChannel | _ClusterChannel
    if isinstance(inputs, Clusters):
        distance = float(np.sqrt(inputs.nodes.distance))
        channel = _ClusterChannel(loss, distance, inputs.positive)
    else:
        channel = _TeacherChannel(loss, labels)
    condition = _Condition(inputs.nodes, channel, flat["lam"])
    with np.errstate(over="ignore", invalid="ignore"):
        idle = np.broadcast_to(loss.derivative(np.zeros(size)) >= 0, (size,)) & ~refusals.bad
    refusals.refuse(
        np.flatnonzero(idle),
        "loss",
        "must push margins up at zero, V'(0) < 0: else no weights are best of all; at `lam`",
        flat["lam"][idle],
    )
    if isinstance(inputs, Clusters) and inputs.positive != 0.5:
        hebb = np.flatnonzero(flat["lam"] == 0)
        refusals.refuse(
            hebb,
            "lam",
            "must be positive for clusters of unequal size: Hebb's rule has no intercept",
            flat["lam"][hebb],
        )
    columns = {name: np.full(size, np.nan) for name in _NUMBERS}
    columns["lam"] = flat["lam"]
    good = np.flatnonzero(~refusals.bad)
    for part in np.array_split(good, max(1, -(-len(good) // BLOCK))):
        if len(part):
            for name, values in _solve(condition, refusals, part).items():
                columns[name][part] = values
    status = np.array([refusals.sentence(i) or CONVERGED for i in range(size)], dtype=object)
    return PopulationCurve(
        **{name: shaped(columns[name], shape) for name in _NUMBERS}, status=shaped(status, shape)
    )


_NUMBERS = (
    "lam", "field_norm", "input_variance", "overlap", "one_minus_overlap",
    "generalization_error", "intercept", "log_mu", "error_estimate",
)  # fmt: skip


# ----------------------------------------------------------------------- what is refused


def _check_inputs(inputs: Inputs) -> None:
    if not isinstance(inputs, Inputs):
        raise arguments.InvalidArgument(
            "inputs",
            "must be a Spectrum, PowerLaw, MarchenkoPastur or Clusters",
            arguments.quoted(inputs),
        )
    nodes = inputs.nodes
    where = nodes.eigenvalue[nodes.signal > 0]
    if isinstance(inputs, Isotropic) or (
        not isinstance(inputs, Clusters) and where.min() == where.max()
    ):
        raise arguments.InvalidArgument(
            "inputs",
            "must have eigenvalues that differ where the teacher is: with one variance for all of "
            "it this limit has no error at any norm (`early_law` tells how it is approached)",
            repr(inputs),
        )
    if isinstance(inputs, Clusters) and nodes.distance > FARTHEST**2:
        raise arguments.InvalidArgument(
            "inputs",
            f"must be clusters that overlap, of Mahalanobis distance at most {FARTHEST:g}: beyond, "
            "their error leaves the doubles",
            f"{np.sqrt(nodes.distance):.6g}",
        )


def _checked_loss(loss: Loss | None) -> Loss:
    if loss is None:
        return Logistic(1.0)
    if not isinstance(loss, Loss):
        raise arguments.InvalidArgument(
            "loss", "must be a Loss such as Logistic(lam=1.0)", arguments.quoted(loss)
        )
    if isinstance(loss, HardMargin):
        raise arguments.InvalidArgument(
            "loss",
            "must have a limit at endlessly many examples: then no stability is left to be made "
            "large",
            "HardMargin()",
        )
    loss.check()
    return loss


def _checked_teacher(
    teacher: LabelModel | None, flip: ArrayLike, noise: ArrayLike, inputs: Inputs
) -> LabelModel:
    clusters = isinstance(inputs, Clusters)
    plain = np.ndim(flip) == 0 and np.ndim(noise) == 0 and flip == 0 and noise == 0
    if (teacher is not None and not plain) or (clusters and not (plain and teacher is None)):
        raise arguments.InvalidArgument(
            "teacher" if teacher is not None else "label_flip",
            "must be left out: clusters give the labels themselves"
            if clusters
            else "must be left out, or else `label_flip` and `label_noise`",
            arguments.quoted(teacher if teacher is not None else (flip, noise)),
        )
    if teacher is None:
        return Teacher(label_flip=flip, label_noise=noise)
    if not isinstance(teacher, LabelModel):
        raise arguments.InvalidArgument(
            "teacher", "must be a Teacher or LogisticTeacher", arguments.quoted(teacher)
        )
    return teacher


# ------------------------------------------------------------------- the weights' side


@dataclass(frozen=True)
class _Sums:
    """Averages over the signal at given mu, eq. (60), scaled so that mu -> inf is regular.

    With v = mu/Omega and Omega = E omega: rho = q rho^, q = 1/(1 + v).
    """

    overlap: Array  # R
    c: Array  # R / sqrt(1 - R^2)
    variance: Array  # Q
    log_q: Array
    half_log_square: Array  # log sqrt(E rho^^2)
    log_mixed: Array  # log E[rho^ h]
    learned: Array  # E rho

    def __getitem__(self, which: Indices) -> _Sums:
        return _Sums(*(getattr(self, field.name)[which] for field in fields(self)))

    @classmethod
    def at(cls, nodes: Nodes, log_v: Array) -> _Sums:
        """The averages at log v, an array of numbers up to inf."""
        there = nodes.signal > 0
        omega, tau = nodes.eigenvalue[there], nodes.signal[there]
        scale = float(tau @ omega)
        omega = omega / scale
        p, q = expit(log_v)[:, None], expit(-log_v)[:, None]
        rho = omega / (p + q * omega)
        h = p / (p + q * omega)
        mean, square, unlearned = rho @ tau, (rho * rho) @ tau, h @ tau
        # the smaller of h and rho keeps its digits: rho^ - E rho^ = -(h - E h)/q
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            by_h = ((h - unlearned[:, None]) / q) ** 2 @ tau
        spread = np.where(unlearned < 0.5, by_h, (rho - mean[:, None]) ** 2 @ tau)
        with np.errstate(divide="ignore"):
            c = mean / np.sqrt(spread)
        return cls(
            overlap=mean / np.sqrt(square),
            c=c,
            variance=scale * square / ((rho / (p + q * omega)) @ tau),
            log_q=log_expit(-log_v),
            half_log_square=0.5 * np.log(square),
            log_mixed=np.log((rho * h) @ tau),
            learned=1 - unlearned,
        )


# ---------------------------------------------------------------------- the data's side


@dataclass(frozen=True)
class _Force:
    """The loss of each point, and where its -V' changes in z = lam' t."""

    loss: Loss
    shape: Force

    @classmethod
    def of(cls, loss: Loss, which: Indices) -> _Force:
        """The loss at these points, its parameter in a column."""
        if loss.parameter is None:
            return cls(loss, loss.force(np.ones(len(which))))
        value = np.asarray(getattr(loss, loss.parameter))[which]
        return cls(loss.with_parameter(value[:, None]), loss.force(value))


@dataclass(frozen=True)
class _Averages:
    """The loss at a norm of the field and an overlap: b, e and G^ of eqs. (58) and (62)."""

    log_b: Array  # nan where b is not positive
    log_g: Array
    e_over_b: Array
    rounding_of_e: Array  # of e/b, relative


@dataclass(frozen=True)
class _Measure:
    """Nodes t with the logarithms of their weights in the averages, (n, T) arrays."""

    t: Array
    log_w: Array  # of E_W
    log_m: Array  # of b

    def averages(self, force: _Force, norm: Array, bent: list[Array]) -> _Averages:
        """The three integrals; ``bent`` is log(density times jump) at the kinks of V."""
        sign, log_f, log_v2 = force.loss.log_force(norm[:, None] * self.t)
        b, log_scale = _sum(sign, self.log_m + log_f)
        e, scale = _sum(sign * self.t, self.log_w + log_f)
        size, _ = _sum(np.abs(self.t), self.log_w + log_f)
        g, log_g = _sum(np.ones(()), self.log_w + log_v2)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            log_b = np.log(b) + log_scale
            ratio = np.exp(scale - log_b)
            log_g = np.log(g) + log_g + np.log(norm)
            for density in bent:
                log_g = np.logaddexp(log_g, density)
            return _Averages(log_b, log_g, e * ratio, ROUNDING * size / np.abs(e))


def _sum(factor: Array, logs: Array) -> tuple[Array, Array]:
    """Sum of factor e^logs along rows, as a number times e^scale."""
    scale = np.max(logs, axis=1)
    scale = np.where(np.isfinite(scale), scale, 0.0)
    return np.sum(factor * np.exp(logs - scale[:, None]), axis=1), scale


def _panels(
    low: Array, high: Array, at: Array, finest: Array, cuts: list[Array], order: int
) -> tuple[Array, Array]:
    """Nodes and weights on (low, high): panels at most 2 wide, graded towards ``at``.

    The smallest have half the width ``finest``.
    """
    pieces = int(np.ceil(np.max(high - low) / 2))
    even = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, pieces + 1)
    start = 0.5 * np.minimum(finest, 1.0)
    steps = int(np.ceil(np.log(2 * REACH / start.min()) / np.log(GRADING)))
    grade = start[:, None] * GRADING ** np.arange(steps + 1)
    edges = np.concatenate(
        [even, at[:, None] + grade, at[:, None] - grade, at[:, None], *(c[:, None] for c in cuts)],
        axis=1,
    )
    edges = np.sort(np.clip(edges, low[:, None], high[:, None]), axis=1)
    x, weight = roots_legendre(order)
    half = np.diff(edges, axis=1)[:, :, None] / 2
    with np.errstate(divide="ignore"):  # of panels that were clipped away
        log_weight = np.log(half) + np.log(weight)
    nodes = edges[:, :-1, None] + half * (1 + x)
    return nodes.reshape(len(low), -1), log_weight.reshape(len(low), -1)


_LOG_2PI = float(np.log(2 * np.pi))


def _log_phi(t: Array) -> Array:
    return -0.5 * t * t - 0.5 * _LOG_2PI


@dataclass(frozen=True)
class _TeacherChannel:
    """Averages over fields of examples that a teacher has labelled, eqs. (8), (9), (16)."""

    loss: Loss
    labels: NoiseMixture

    def averages(self, which: Indices, norm: Array, sums: _Sums, order: int) -> _Averages:
        """b, e and G^ at these norms of the field and overlaps."""
        force, labels = _Force.of(self.loss, which), self.labels[which]
        with np.errstate(divide="ignore"):
            inverse = 1 / sums.c[:, None]
            inverse = np.hypot(inverse, labels.noise * np.hypot(inverse, 1.0))  # 1/c_k
            log_share, log_random = np.log(labels.signal), np.log(labels.random)
        s = inverse / np.hypot(1.0, inverse)
        finest = np.min(np.where(labels.signal > 0, s, 1.0), axis=1)
        # only an exponential moves the weight of the Gaussian away from zero
        tilted = np.minimum(force.shape.tilt * norm, TILT) if force.shape.endless else 0.0
        low, high = np.full(len(norm), -REACH) - tilted, np.full(len(norm), REACH)
        cuts = [bend / norm for bend, _ in force.shape.bends]
        zero = np.zeros(len(norm))
        t, log_weight = _panels(
            low, high, zero, np.minimum(finest, force.shape.unit / norm), cuts, order
        )
        log_pull = np.full(t.shape, -np.inf)
        for k in range(s.shape[1]):
            width = s[:, k, None]
            factor = log_share[:, k] - 0.5 * np.log1p(labels.noise[:, k] ** 2) - np.log(s[:, k])
            log_pull = np.logaddexp(log_pull, factor[:, None] + _log_phi(t / width))

        def log_density(t: Array) -> Array:
            """Logarithm of phi W."""
            log_w = np.broadcast_to(log_random[:, None], t.shape)
            for k in range(s.shape[1]):
                log_h = log_ndtr(t / inverse[:, k, None])
                log_w = np.logaddexp(log_w, log_share[:, k, None] + np.log(2) + log_h)
            return _log_phi(t) + log_w

        measure = _Measure(
            t, log_weight + log_density(t), log_weight + log_pull + 0.5 * np.log(2 / np.pi)
        )
        with np.errstate(divide="ignore"):
            bent = [
                np.log(jump) + log_density((bend / norm)[:, None])[:, 0]
                for bend, jump in force.shape.bends
            ]
        return measure.averages(force, norm, bent)

    def error(self, sums: _Sums, intercept: Array) -> Array:
        """arccos(R)/pi."""
        return np.arctan2(1.0, sums.c) / np.pi

    def intercept(self, which: Indices, norm: Array, sums: _Sums) -> Array:
        """None: the labels of a teacher have no offset."""
        return np.zeros(len(norm))

    @property
    def steepness(self) -> float:
        """How rounding of R or c enters the error, relative to relative."""
        return 1.0


@dataclass(frozen=True)
class _ClusterChannel:
    """Averages over examples of two clusters, t normal around kappa + beta or kappa - beta."""

    loss: Loss
    distance: float  # D
    positive: float

    def _classes(self, kappa: Array, beta: Array) -> list[tuple[float, Array]]:
        """Share and centre of each class; one stands for both where they are alike."""
        if self.positive == 0.5:
            return [(1.0, kappa)]
        return [(self.positive, kappa + beta), (1 - self.positive, kappa - beta)]

    def _measure(
        self, force: _Force, norm: Array, share: float, centre: Array, order: int
    ) -> _Measure:
        cuts = [bend / norm for bend, _ in force.shape.bends]
        # -V' moves the weight of the Gaussian down by at most its own steepness, not beyond
        # zero for a logistic, and not beyond the kink of a hinge
        tilt = np.minimum(force.shape.tilt * norm, 2 * TILT)
        if force.shape.endless:
            reached = centre - np.minimum(tilt, TILT)
        else:
            reached = np.maximum(centre - tilt, np.min([0 * centre, *cuts], axis=0))
        low, high = np.minimum(centre, reached) - centre - REACH, np.full(len(norm), REACH)
        y, log_weight = _panels(
            low, high, -centre, force.shape.unit / norm, [cut - centre for cut in cuts], order
        )
        log_w = log_weight + np.log(share) + _log_phi(y)
        return _Measure(centre[:, None] + y, log_w, log_w + np.log(self.distance))

    def intercept(self, which: Indices, norm: Array, sums: _Sums) -> Array:
        """The beta at which both classes push alike, E[y V'] = 0."""
        kappa = self.distance * sums.overlap
        if self.positive == 0.5:
            return np.zeros(len(norm))

        def imbalance(beta: Array, index: Array) -> Array:
            j = index.astype(int)
            force = _Force.of(self.loss, which[j])
            parts = []
            for share, centre in self._classes(kappa[j], beta):
                measure = self._measure(force, norm[j], share, centre, ORDER)
                sign, log_f, _ = force.loss.log_force(norm[j][:, None] * measure.t)
                parts.append(_sum(sign, measure.log_w + log_f))
            (first, scale_1), (second, scale_2) = parts
            top = np.maximum(scale_1, scale_2)
            first, second = first * np.exp(scale_1 - top), second * np.exp(scale_2 - top)
            return (second - first) / np.maximum(np.abs(first) + np.abs(second), TINY)

        index = np.arange(len(norm), dtype=float)
        start = 1 + 1 / norm
        bracket = elementwise.bracket_root(imbalance, -start, start, args=(index,))
        root = elementwise.find_root(
            imbalance, bracket.bracket, args=(index,), tolerances={"xatol": 0, "xrtol": 1e-15}
        )
        return np.where(root.success, root.x, np.nan)

    def averages(self, which: Indices, norm: Array, sums: _Sums, order: int) -> _Averages:
        """b, e and G^ at these norms of the field and overlaps."""
        force = _Force.of(self.loss, which)
        beta = self.intercept(which, norm, sums)
        classes = self._classes(self.distance * sums.overlap, beta)
        parts = [self._measure(force, norm, share, centre, order) for share, centre in classes]
        measure = _Measure(
            *(
                np.concatenate([getattr(part, name) for part in parts], axis=1)
                for name in ("t", "log_w", "log_m")
            )
        )
        with np.errstate(divide="ignore"):
            bent = [
                np.log(jump * share) + _log_phi(bend / norm - centre)
                for bend, jump in force.shape.bends
                for share, centre in classes
            ]
        return measure.averages(force, norm, bent)

    def error(self, sums: _Sums, intercept: Array) -> Array:
        """The mass of each class on the wrong side."""
        classes = self._classes(self.distance * sums.overlap, intercept)
        return np.sum([share * ndtr(-centre) for share, centre in classes], axis=0)

    @property
    def steepness(self) -> float:
        """How rounding of R enters the error, relative to relative: d log H/d log kappa."""
        return 1 + self.distance * (1 + self.distance)


# --------------------------------------------------------------------------- the root


@dataclass(frozen=True)
class _Condition:
    """Eqs. (61) or (63) as a function of log v at given norms, v = mu/Omega."""

    nodes: Nodes
    channel: _TeacherChannel | _ClusterChannel
    lam: Array

    def residual(self, log_v: Array, which: Indices, order: int = ORDER) -> tuple[Array, Array]:
        """Positive below the root, negative above it; and its rounding."""
        sums = _Sums.at(self.nodes, log_v)
        norm = self.lam[which] * np.sqrt(sums.variance)
        found = self.channel.averages(which, norm, sums, order)
        with np.errstate(divide="ignore", invalid="ignore"):
            few = found.log_b + sums.log_q + sums.half_log_square - found.log_g
            many = np.log(found.e_over_b) + sums.half_log_square - sums.log_mixed
        # The two are one equation, eqs. (61) and (63): the first cancels where most is learned,
        # the second where little is. Their signs agree; an e or b that is not positive means
        # that the mean loss would fall with a shorter student.
        value = np.where(sums.learned > 0.5, many, few)
        value = np.where(np.isnan(value), -LARGEST, np.clip(value, -LARGEST, LARGEST))
        rounding = np.where(sums.learned > 0.5, found.rounding_of_e, 0.0) + 4 * ROUNDING
        return value, rounding


def _solve(condition: _Condition, refusals: Refusals, part: Indices) -> dict[str, Array]:
    """The columns of the points ``part``; those that have no solution are refused."""
    nodes, lam = condition.nodes, condition.lam
    scale = float(nodes.signal @ nodes.eigenvalue)
    least = np.log(nodes.smallest or nodes.eigenvalue[nodes.signal > 0].min()) - np.log(scale)
    if nodes.smallest == 0:
        least -= BELOW

    def residual(log_v: Array, index: Array | Indices) -> Array:
        return condition.residual(log_v, index.astype(int))[0]

    log_v = np.full(len(part), np.inf)  # Hebb: at lam = 0, or so close to it that G^ underflows
    place = np.flatnonzero(lam[part] > 0)
    inside = beyond = place
    if len(place):
        at_low = residual(np.full(len(place), least), part[place])
        at_high = residual(np.full(len(place), LARGEST), part[place])
        inside, beyond = place[(at_low > 0) & (at_high < 0)], place[at_low <= 0]
    if len(inside):
        root = elementwise.find_root(
            residual,
            (np.full(len(inside), least), np.full(len(inside), LARGEST)),
            args=(part[inside].astype(float),),
            tolerances={"xatol": 1e-15, "xrtol": 1e-15},
        )
        log_v[inside] = root.x
    _refuse(condition, refusals, part[beyond], least)
    columns = {name: np.full(len(part), np.nan) for name in _NUMBERS[1:]}
    solved = np.setdiff1d(np.arange(len(part)), beyond)
    if len(solved):
        for name, values in _columns(condition, part[solved], log_v[solved], scale).items():
            columns[name][solved] = values
    lost = np.flatnonzero(np.isnan(columns["generalization_error"]))
    refusals.refuse(
        np.setdiff1d(part[lost], part[beyond]),
        "loss",
        "must push both clusters alike at some intercept; none was found at `lam`",
        lam[np.setdiff1d(part[lost], part[beyond])],
    )
    return columns


def _refuse(condition: _Condition, refusals: Refusals, which: Indices, least: float) -> None:
    """Points whose condition has no root: beyond convexity, or beyond the nodes of a spectrum."""
    if len(which) == 0:
        return
    least_and_above = _Sums.at(condition.nodes, np.array([least, least + 5.0])).variance
    # all that can be learned is: R = 1, or as good as that
    learned = _Sums.at(condition.nodes, np.full(len(which), least))
    sums = replace(learned, overlap=np.ones(len(which)), c=np.full(len(which), NO_ANGLE))
    part = np.arange(len(which))

    def excess(log_norm: Array, index: Array) -> Array:
        j = index.astype(int)
        found = condition.channel.averages(which[j], np.exp(log_norm), sums[j], ORDER)
        return np.where(np.isnan(found.e_over_b), -1.0, found.e_over_b)

    norm = condition.lam[which] * np.sqrt(sums.variance)
    if condition.nodes.smallest > 0:
        # a longer student would learn modes beyond the nodes, or E[1/omega] diverges there
        moving = least_and_above[0] < 0.99 * least_and_above[1]
        on = (excess(np.log(norm), part.astype(float)) > 0) | moving
        refusals.refuse(
            which[on],
            "lam",
            "must leave a last mode that is learned before "
            f"{condition.nodes.smallest:.3g}, the smallest eigenvalue that this spectrum resolves",
            condition.lam[which[on]],
        )
        keep = np.flatnonzero(~on)
        which, part, sums, norm = which[keep], np.arange(len(keep)), sums[keep], norm[keep]
    if len(which) == 0:
        return
    start = np.full(len(which), np.log(NO_NORM))
    none = excess(start, part.astype(float)) <= 0
    refusals.refuse(
        which[none],
        "lam",
        "must be 0: the mean loss grows with the norm from there on",
        condition.lam[which[none]],
    )
    keep = np.flatnonzero(~none)
    which, part, sums, norm = which[keep], np.arange(len(keep)), sums[keep], norm[keep]
    if len(which) == 0:
        return
    root = elementwise.find_root(
        excess,
        (start[keep], np.log(norm)),
        args=(part.astype(float),),
        tolerances={"xatol": 1e-12},
    )
    limits = np.exp(root.x) / np.sqrt(sums.variance)
    for point, limit in zip(which, limits, strict=True):
        refusals.refuse(
            np.array([point]),
            "lam",
            f"must be below {limit:.8g}, the norm of the unconstrained minimiser of the mean loss",
            condition.lam[[point]],
        )


def _columns(condition: _Condition, part: Indices, log_v: Array, scale: float) -> dict[str, Array]:
    """What is read off the solutions."""
    channel = condition.channel

    def at(which: Indices, log_v: Array) -> tuple[_Sums, Array, Array, Array]:
        sums = _Sums.at(condition.nodes, log_v)
        norm = condition.lam[which] * np.sqrt(sums.variance)
        beta = channel.intercept(which, norm, sums)
        return sums, norm, beta, channel.error(sums, beta)

    sums, norm, beta, error = at(part, log_v)
    estimate = np.full(len(part), NODES) + ROUNDING * channel.steepness
    moving = np.isfinite(log_v)
    if moving.any():
        u, which = log_v[moving], part[moving]
        # how far the root is off, by a finer rule, its slope and its rounding; times how the
        # error depends on it. Differences over 1e-3 are slopes enough for an estimate.
        step = 5e-4
        finer, rounding = condition.residual(u, which, FINER)
        above, below = (condition.residual(u + sign * step, which)[0] for sign in (1, -1))
        with np.errstate(invalid="ignore", divide="ignore"):
            shift = (np.abs(finer) + rounding) / np.abs((above - below) / (2 * step))
            change = np.log(at(which, u + step)[3] / at(which, u - step)[3]) / (2 * step)
        estimate[moving] += np.abs(change) * (shift + np.spacing(np.abs(u)))
    return {
        "field_norm": norm,
        "input_variance": sums.variance,
        "overlap": sums.overlap,
        "one_minus_overlap": 1 / ((1 + sums.c**2) * (1 + sums.overlap)),
        "generalization_error": error,
        "intercept": beta,
        "log_mu": log_v + np.log(scale),
        "error_estimate": estimate,
    }
