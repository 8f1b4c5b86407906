r"""Inputs: how the examples are spread in the space of the weights.

Inputs are x = sum_k sqrt(omega_k) xi_k e_k with independent xi_k of zero mean and unit
variance. What the theory needs of them are the eigenvalues omega_k of their covariance
and, along each, the strength of what gives the labels: a teacher's squared component
theta_k^2, or the component mu_k of the mean of a cluster.

Two normalisations of one theory:

- a *density*: weights of the spectrum sum to 1. Samples are counted by alpha = P/N,
  fields are w.x/sqrt(N), and the norm is in units of sqrt(N). `Isotropic` and
  `MarchenkoPastur` are densities.
- a *count of modes*: every mode has the weight 1, or a whole number of modes share an
  eigenvalue. Samples are counted by P, fields are w.x, and the norm is Euclidean.
  `PowerLaw` is one.
"""

from __future__ import annotations

import abc
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica import nodes, ranges
from replica.common import arguments
from replica.nodes import Nodes

__all__ = ["Clusters", "Inputs", "Isotropic", "MarchenkoPastur", "PowerLaw", "Spectrum"]

Array = NDArray[np.float64]

#: Entries of an array that are printed.
SHOWN = 6
#: A mean whose components are all below this counts as zero: their squares would underflow.
NO_COMPONENT = 1e-100


class Inputs(abc.ABC):
    """The covariance of the inputs, and where in it the labels come from.

    Instances are immutable; they compare, hash and print by what they were given.
    """

    _fields: tuple[str, ...] = ()

    @property
    @abc.abstractmethod
    def nodes(self) -> Nodes:
        """The spectrum as three arrays, from which every sum of the theory follows."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def _set(self, **values: object) -> None:
        """Set the attributes, once."""
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    def _key(self) -> tuple[object, ...]:
        """What makes two of them the same."""
        values = (getattr(self, name) for name in self._fields)
        return tuple(v.tobytes() if isinstance(v, np.ndarray) else v for v in values)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash((type(self), self._key()))

    def __repr__(self) -> str:
        said = []
        for name in self._fields:
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                said.append(f"{name}={_list(value)}")
            elif value is not None:
                said.append(f"{name}={arguments.show(value)}")
        return f"{type(self).__name__}({', '.join(said)})"

    def __reduce__(self) -> tuple[object, ...]:
        """By its arguments: nodes are computed anew in another process."""
        return type(self), tuple(getattr(self, name) for name in self._fields)


def _list(values: Array) -> str:
    """The numbers of an array, the middle of a long one left out."""
    if len(values) <= SHOWN:
        return f"[{', '.join(arguments.show(v) for v in values)}]"
    ends = [f"{v:.6g}" for v in (*values[:3], *values[-1:])]
    return f"[{', '.join(ends[:3])}, ..., {ends[3]}; {len(values)} modes]"


@final
class Isotropic(Inputs):
    """Independent inputs of unit variance: the same variance in every direction. A density."""

    def __init__(self) -> None:
        self._set()

    @cached_property
    def nodes(self) -> Nodes:
        """One eigenvalue, 1."""
        one = np.ones(1)
        return nodes.teacher_list(one, one.copy(), one.copy(), density=True)


@final
class Spectrum(Inputs):
    r"""Inputs with a list of eigenvalues, and a teacher.

    Parameters
    ----------
    eigenvalues : (K,) array
        omega_k, positive; equal ones may stand apart or together.
    teacher : (K,) array, optional
        Squared components theta_k^2 of the teacher up to a common factor, which the labels do
        not see; equal by default. Where a weight stands for several modes, of each of them.
    weights : (K,) array, optional
        Either shares of the spectrum, of sum 1: a density, where samples are counted by
        alpha = P/N and the norm is in units of sqrt(N). Or whole numbers of modes: samples are
        counted by P and the norm is Euclidean. 1 for each mode by default. (A single mode of
        weight 1 is read as a density, which is the same theory.)

    Raises
    ------
    InvalidArgument
        For eigenvalues that are not positive, a teacher that is zero in every direction that
        counts, lengths that differ, or weights that are neither shares nor whole numbers.
    """

    _fields = ("eigenvalues", "teacher", "weights")
    eigenvalues: Array
    teacher: Array | None
    weights: Array | None

    def __init__(
        self,
        eigenvalues: ArrayLike,
        teacher: ArrayLike | None = None,
        weights: ArrayLike | None = None,
    ):
        omega = _several("eigenvalues", eigenvalues, ranges.EIGENVALUE)
        theta2 = None if teacher is None else _several("teacher", teacher, ranges.POWER, omega)
        p = _weights(weights, omega)
        if theta2 is not None and not np.any(theta2[_counts(p, theta2)] > 0):
            raise arguments.InvalidArgument(
                "teacher",
                "must be positive along some mode that has a weight (labels that know nothing "
                "of the inputs are those of `RandomLabels`)",
                _list(theta2),
            )
        self._set(eigenvalues=omega, teacher=theta2, weights=p)

    @cached_property
    def nodes(self) -> Nodes:
        """The list itself, without modes of weight zero."""
        ones = np.ones(len(self.eigenvalues))
        return nodes.teacher_list(
            self.eigenvalues,
            ones if self.teacher is None else self.teacher,
            ones if self.weights is None else self.weights,
            density=_is_density(self.weights, len(ones)),
        )


@final
class PowerLaw(Inputs):
    r"""Power laws of the eigenvalues and of the teacher.

    omega_k = k^-a and omega_k theta_k^2 proportional to k^-(1 + 2 a r), k = 1, 2, ...: the
    capacity and source conditions of kernel regression. A count of modes: samples are
    counted by P and the norm is Euclidean.

    Parameters
    ----------
    capacity : float
        a, in (1, 20]; in (0, 20] for a finite number of modes.
    source : float
        r, positive: in [1e-3, 10].
    modes : int, optional
        How many; endlessly many by default, with exact tails.

    Raises
    ------
    InvalidArgument
        If eigenvalues have no finite sum (a <= 1 and endlessly many modes), for a source that
        is not positive, or for so many modes that the smallest eigenvalue is below 1e-290.
    """

    _fields = ("capacity", "source", "modes")
    capacity: float
    source: float
    modes: int | None

    def __init__(self, capacity: float, source: float, modes: int | None = None):
        rule = ranges.CAPACITY if modes is None else ranges.CAPACITY_OF_FINITE
        a = _one("capacity", capacity, rule)
        r = _one("source", source, ranges.SOURCE)
        if modes is not None:
            modes = arguments.whole("modes", modes)
            most = int(nodes.last_mode(a))
            if not 1 <= modes <= most:
                raise arguments.InvalidArgument(
                    "modes",
                    f"must be between 1 and {most:.4g} at this capacity (None for endlessly many)",
                    str(modes),
                )
        self._set(capacity=a, source=r, modes=modes)

    @cached_property
    def nodes(self) -> Nodes:
        """Some hundred nodes, good to 1e-14 at every mu."""
        return nodes.power_law(self.capacity, self.source, self.modes)


@final
class MarchenkoPastur(Inputs):
    r"""Eigenvalues of a sample covariance X'X/n of white inputs, and an isotropic teacher.

    A density on [(1 - sqrt(ratio))^2, (1 + sqrt(ratio))^2], of mean 1. At ratio > 1 a share
    1 - 1/ratio of the directions has no variance at all: labels, fields and weights of a
    minimiser know nothing of them. They still count in N, and so in alpha and in the unit of
    the norm.

    Parameters
    ----------
    ratio : float
        Dimension over samples of the covariance, N/n, in [1e-8, 1e8].
    """

    _fields = ("ratio",)
    ratio: float

    def __init__(self, ratio: float):
        self._set(ratio=_one("ratio", ratio, ranges.ASPECT))

    @cached_property
    def nodes(self) -> Nodes:
        """Gauss-Legendre rules graded towards the lower edge."""
        return nodes.marchenko_pastur(self.ratio)


@final
class Clusters(Inputs):
    r"""Two clouds of one covariance, x = y mu + sqrt(omega) z; labels tell which.

    Parameters
    ----------
    eigenvalues : (K,) array
        omega_k of the covariance within a cluster, positive.
    mean : (K,) array
        Components mu_k of the mean of the positive cluster; the other has -mu. Only mu_k^2 counts.
        In a density, sum_k p_k mu_k^2 is the squared length of the mean itself.
    weights : (K,) array, optional
        As in `Spectrum`.
    positive : float
        Share of the positive cluster, in (0, 1). Unless it is 1/2, the student has an intercept.

    Raises
    ------
    InvalidArgument
        As `Spectrum`; for a mean that is zero along every mode that counts.
    """

    _fields = ("eigenvalues", "mean", "weights", "positive")
    eigenvalues: Array
    mean: Array
    weights: Array | None
    positive: float

    def __init__(
        self,
        eigenvalues: ArrayLike,
        mean: ArrayLike,
        weights: ArrayLike | None = None,
        positive: float = 0.5,
    ):
        omega = _several("eigenvalues", eigenvalues, ranges.EIGENVALUE)
        mu = _several("mean", mean, ranges.COMPONENT, omega)
        p = _weights(weights, omega)
        share = _one("positive", positive, ranges.SHARE)
        if not np.any(np.abs(mu[_counts(p, mu)]) > NO_COMPONENT):
            raise arguments.InvalidArgument(
                "mean",
                "must differ from zero along some mode that has a weight (clusters that lie on "
                "one another have random labels: `RandomLabels`)",
                _list(mu),
            )
        self._set(eigenvalues=omega, mean=mu, weights=p, positive=share)

    @cached_property
    def nodes(self) -> Nodes:
        """The list itself, without modes of weight zero."""
        ones = np.ones(len(self.eigenvalues))
        return nodes.cluster_list(
            self.eigenvalues,
            self.mean,
            ones if self.weights is None else self.weights,
            density=_is_density(self.weights, len(ones)),
        )


# ----------------------------------------------------------------------- what is refused


def _one(name: str, value: object, rule: arguments.Range) -> float:
    """A single number within its range."""
    result = arguments.number(name, value)
    if not rule.holds(np.asarray(result)):
        raise arguments.InvalidArgument(name, rule.words, arguments.show(result))
    return result


def _several(
    name: str, value: ArrayLike, rule: arguments.Range, like: Array | None = None
) -> Array:
    """A list of numbers within their range, of the length of ``like``; a copy."""
    result = np.array(arguments.numbers(name, value))
    if result.ndim != 1 or len(result) == 0:
        raise arguments.InvalidArgument(
            name, "must be a list of numbers", f"an array of shape {result.shape}"
        )
    if like is not None and len(result) != len(like):
        raise arguments.InvalidArgument(
            name, f"must be as long as `eigenvalues`, {len(like)}", f"{len(result)} numbers"
        )
    broken = np.flatnonzero(~rule.holds(result))
    if len(broken):
        value_there = arguments.show(float(result[broken[0]]))
        where = "" if len(result) == 1 else f" at position {broken[0]}"
        raise arguments.InvalidArgument(name, rule.words, f"{value_there}{where}")
    return result


def _weights(value: ArrayLike | None, omega: Array) -> Array | None:
    """Shares of sum 1, or whole numbers of modes."""
    if value is None:
        return None
    p = _several("weights", value, ranges.WEIGHT, omega)
    if not np.any(p > 0):
        raise arguments.InvalidArgument("weights", "must not all be zero", _list(p))
    if not _sums_to_one(p) and np.any(p != np.round(p)):
        raise arguments.InvalidArgument(
            "weights",
            "must be shares that sum to 1 (then samples are counted by alpha = P/N), or whole "
            "numbers of modes (then by P); divide shares by their sum",
            f"{_list(p)} of sum {float(p.sum()):.17g}",
        )
    return p


def _sums_to_one(p: Array) -> bool:
    """Whether they are shares: to the rounding of a naive sum of so many numbers, and of theirs."""
    return bool(abs(p.sum() - 1) <= 2 * len(p) * np.finfo(float).eps)


def _is_density(p: Array | None, length: int) -> bool:
    return length == 1 if p is None else _sums_to_one(p)


def _counts(p: Array | None, like: Array) -> NDArray[np.bool_]:
    """Where modes have a weight."""
    return np.ones(len(like), dtype=bool) if p is None else p > 0
