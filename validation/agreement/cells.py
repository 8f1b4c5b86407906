"""What is compared: losses, teachers and inputs, each known to both codes under one name.

A *draw* is a teacher, inputs and a number of examples; every seed of it is learned by several
losses, so that quantities of one draw are correlated and those of two draws are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import perceptron
import replica
from replica.inputs import Inputs
from replica.teachers import LabelModel

__all__ = [
    "DENSITIES",
    "INPUTS",
    "LOSSES",
    "MATRIX",
    "TEACHERS",
    "Draw",
    "InputsPair",
    "LossPair",
    "TeacherPair",
    "default_draws",
    "full_draws",
    "why_empty",
]

Array = NDArray[np.float64]

# ------------------------------------------------------------------------------ the losses


@dataclass(frozen=True)
class LossPair:
    """A loss, or a rule, in both codes.

    Attributes
    ----------
    name : str
    values : tuple of float
        Its parameter: norms, margins, ridges; (nan,) without one.
    word : str
        Name of the parameter, empty without one.
    theory : callable
        From a value to the theory's loss; None where the theory has a function of its own.
    simulated : callable
        From examples and values to what was learned, in the order of the values.
    positive : bool
        Whether the training loss is, so that its logarithm is a quantity.
    degree : int
        V(s Delta) is s^degree times V of another value: the power of a factor on the norm.
    """

    name: str
    values: tuple[float, ...]
    word: str
    theory: Callable[[float], Any] | None
    simulated: Callable[[perceptron.Examples, Sequence[float]], Sequence[perceptron.Learned]]
    positive: bool = True
    degree: int = 0


def _at_norm(loss: perceptron.Loss) -> Callable[..., Sequence[perceptron.Learned]]:
    def learn(
        examples: perceptron.Examples, values: Sequence[float]
    ) -> Sequence[perceptron.Learned]:
        return perceptron.minimize_at_norm(examples, list(values), loss=loss)

    return learn


def _with_margin(kind: Callable[[float], perceptron.Loss]) -> Callable[..., Any]:
    def learn(
        examples: perceptron.Examples, values: Sequence[float]
    ) -> Sequence[perceptron.Learned]:
        return [perceptron.minimize_at_norm(examples, loss=kind(value)) for value in values]

    return learn


def _hebb(examples: perceptron.Examples, values: Sequence[float]) -> list[perceptron.Learned]:
    return [perceptron.minimize_at_norm(examples, loss=perceptron.Linear())]


def _stable(examples: perceptron.Examples, values: Sequence[float]) -> list[perceptron.Learned]:
    return [perceptron.max_stability(examples)]


def _ridge(examples: perceptron.Examples, values: Sequence[float]) -> list[perceptron.Learned]:
    return [perceptron.minimize_at_ridge(examples, value) for value in values]


def _bayes(examples: perceptron.Examples, values: Sequence[float]) -> list[perceptron.Learned]:
    flip = examples.law.model.label_flip  # type: ignore[union-attr]
    found = perceptron.bayes_optimal(examples, label_flip=flip)
    if not found.converged:  # as happens at small N
        found = perceptron.bayes_optimal(examples, label_flip=flip, damping=0.5)
    if not found.converged:
        raise perceptron.NotConverged("message passing did not converge")
    return [found]


#: Times of the flow of the population, of the textbook loss (`flow`): lam' up to 2 and 5.
FLOW_TIMES = (10.0, 100.0)
NONE = (float("nan"),)


def _flow(examples: perceptron.Examples, values: Sequence[float]) -> list[perceptron.Learned]:
    found, run = [], None
    for value in values:
        run = perceptron.gradient_flow(
            examples, until_time=value / (4 * examples.alpha), resume=run, progress=False
        )
        found.append(perceptron.Learned(examples, run.weights, float(run.norm[-1])))
    return found


LOSSES: dict[str, LossPair] = {
    pair.name: pair
    for pair in (
        LossPair(
            "logistic", (0.3, 1.0, 3.0), "lam", replica.Logistic,
            _at_norm(perceptron.Logistic()), degree=1,
        ),
        LossPair(
            "exponential", (0.5, 2.0), "lam", replica.Exponential,
            _at_norm(perceptron.Exponential()), degree=1,
        ),
        LossPair("linear", NONE, "", lambda _: replica.Linear(), _hebb, positive=False),
        LossPair(
            "hinge", (1.0, 1.5), "margin", replica.Hinge, _with_margin(perceptron.Hinge), degree=1
        ),
        LossPair(
            "squared hinge", (1.0, 2.0), "margin", replica.SquaredHinge,
            _with_margin(perceptron.SquaredHinge), degree=2,
        ),
        LossPair(
            "square", (1.0, 2.0), "margin", replica.Square, _with_margin(perceptron.Square),
            degree=2,
        ),
        LossPair(
            "hard margin", NONE, "", lambda _: replica.HardMargin(), _stable, positive=False
        ),
        LossPair("Bayes", NONE, "", None, _bayes, positive=False),
        LossPair("logistic, ridge", (0.1, 1.0), "ridge", None, _ridge),
        LossPair("flow", FLOW_TIMES, "time", None, _flow),
    )
}  # fmt: skip

# ---------------------------------------------------------------------------- the teachers


@dataclass(frozen=True)
class TeacherPair:
    """Who gives the labels, in both codes; ``simulated`` is None for random labels.

    Attributes
    ----------
    other : LabelModel or None
        Noise of another kind at the same rate of wrong labels, which is a wrong theory; None
        without noise.
    flipped : LabelModel or None
        The same teacher and 2% of the labels flipped, which is another.
    """

    theory: LabelModel
    simulated: perceptron.LabelModel | None
    other: LabelModel | None = None
    flipped: LabelModel | None = None


def _noise(flip: float) -> float:
    """The Gaussian noise that makes as many labels wrong as flips do."""
    return float(np.tan(np.pi * flip))


FLIP, NOISE, BOTH, SLOPE = 0.1, 0.5, (0.05, 0.3), 3.0
#: Of the control: 2% more of the labels.
MORE = 0.02
#: Share of wrong labels of the logistic teacher.
WRONG = perceptron.LogisticTeacher(SLOPE).test_error(0.0, 0.0)


def _more(flip: float) -> float:
    return flip + MORE * (1 - 2 * flip)


TEACHERS: dict[str, TeacherPair] = {
    "noiseless": TeacherPair(
        replica.Teacher(), perceptron.Teacher(), flipped=replica.Teacher(label_flip=MORE)
    ),
    "flips": TeacherPair(
        replica.Teacher(label_flip=FLIP),
        perceptron.Teacher(label_flip=FLIP),
        other=replica.Teacher(label_noise=_noise(FLIP)),
        flipped=replica.Teacher(label_flip=_more(FLIP)),
    ),
    "probit": TeacherPair(
        replica.Teacher(label_noise=NOISE),
        perceptron.Teacher(label_noise=NOISE),
        other=replica.Teacher(label_flip=np.arctan(NOISE) / np.pi),
        flipped=replica.Teacher(label_flip=MORE, label_noise=NOISE),
    ),
    "flips and probit": TeacherPair(
        replica.Teacher(*BOTH),
        perceptron.Teacher(*BOTH),
        other=replica.Teacher(label_flip=BOTH[0] + (1 - 2 * BOTH[0]) * np.arctan(BOTH[1]) / np.pi),
        flipped=replica.Teacher(_more(BOTH[0]), BOTH[1]),
    ),
    "logistic": TeacherPair(
        replica.LogisticTeacher(SLOPE),
        perceptron.LogisticTeacher(SLOPE),
        other=replica.Teacher(label_flip=WRONG),
    ),
    "random": TeacherPair(replica.RandomLabels(), None),
    # the labels of clusters are those of the clusters
    "clusters": TeacherPair(replica.Teacher(), None),
}

# ------------------------------------------------------------------------------ the inputs


@dataclass(frozen=True)
class InputsPair:
    """Inputs in both codes.

    Attributes
    ----------
    theory : Inputs
    simulated : callable
        From N to what `perceptron` takes; for clusters eigenvalues, mean and share.
    multiple : int
        N is a multiple of it.
    modes : int
        0 for a density, which exists at every N; else N itself, and what grows is P.
    other : Inputs or None
        Another source, or clusters taken for balanced ones: a wrong theory.
    flat : Inputs or None
        The same without structure, which is another.
    """

    theory: Inputs
    simulated: Callable[[int], Any]
    multiple: int = 1
    modes: int = 0
    other: Inputs | None = None
    flat: Inputs | None = None

    @property
    def structured(self) -> bool:
        """Whether directions differ, so that Q is a quantity."""
        return self.flat is not None or self.is_clusters

    @property
    def is_clusters(self) -> bool:
        """Whether labels are those of two clouds."""
        return isinstance(self.theory, replica.Clusters)


#: Levels of the power laws that are densities: each of them stands for N/LEVELS modes.
LEVELS = 24
#: Of those that count modes.
MODES = 400
FLOW_MODES = 64


def _levels(capacity: float, source: float) -> tuple[Array, Array]:
    k = np.arange(1.0, LEVELS + 1)
    omega = k**-capacity
    return omega / omega.mean(), k ** (capacity - 1 - 2 * capacity * source)


def _density(omega: Array, theta2: Array) -> replica.Spectrum:
    return replica.Spectrum(omega, theta2, np.full(len(omega), 1 / len(omega)))


def _power_density(capacity: float, source: float) -> InputsPair:
    omega, theta2 = _levels(capacity, source)

    def simulated(N: int) -> perceptron.StructuredInputs:
        return perceptron.StructuredInputs(
            np.repeat(omega, N // LEVELS), np.repeat(theta2, N // LEVELS)
        )

    return InputsPair(
        _density(omega, theta2), simulated, multiple=LEVELS, flat=replica.Isotropic(),
        other=_density(*_levels(capacity, 2 * source)),
    )  # fmt: skip


def _two_level(high: float, low: float) -> InputsPair:
    def simulated(N: int) -> perceptron.StructuredInputs:
        return perceptron.StructuredInputs(np.repeat([high, low], N // 2))

    return InputsPair(
        replica.Spectrum([high, low], weights=[0.5, 0.5]), simulated, multiple=2,
        flat=replica.Isotropic(),
    )  # fmt: skip


def _power_counted(capacity: float, source: float, modes: int) -> InputsPair:
    return InputsPair(
        replica.PowerLaw(capacity, source, modes=modes),
        lambda N: perceptron.power_law(capacity, source, N),
        modes=modes,
        other=replica.PowerLaw(capacity, 2 * source, modes=modes),
    )


def _clusters(positive: float) -> InputsPair:
    """Half of the directions vary four times as much as the others; the means differ in both."""
    omega, mu, half = np.array([1.6, 0.4]), np.array([0.9, 0.6]), [0.5, 0.5]

    def simulated(N: int) -> tuple[Array, Array, float]:
        # in a density mu is the mean times sqrt(N)
        return np.repeat(omega, N // 2), np.repeat(mu, N // 2) / np.sqrt(N), positive

    return InputsPair(
        replica.Clusters(omega, mu, half, positive=positive), simulated, multiple=2,
        flat=replica.Clusters([1.0, 1.0], mu, half, positive=positive),
        other=replica.Clusters(omega, mu, half) if positive != 0.5 else None,
    )  # fmt: skip


INPUTS: dict[str, InputsPair] = {
    "rademacher": InputsPair(replica.Isotropic(), lambda N: "rademacher"),
    "gaussian": InputsPair(replica.Isotropic(), lambda N: "gaussian"),
    "two levels": _two_level(1.6, 0.4),
    "power law": _power_density(1.5, 0.3),
    "balanced clusters": _clusters(0.5),
    "unequal clusters": _clusters(0.25),
    "modes 3, 0.15": _power_counted(3.0, 0.15, MODES),
    "modes 1.5, 0.3": _power_counted(1.5, 0.3, MODES),
    "flow, isotropic": InputsPair(replica.Isotropic(), lambda N: "gaussian", modes=32),
    "flow, modes 3, 0.3": _power_counted(3.0, 0.3, FLOW_MODES),
    "flow, modes 2, 0.8": _power_counted(2.0, 0.8, FLOW_MODES),
}
DENSITIES = ("rademacher", "gaussian", "two levels", "power law")
COUNTED = tuple(name for name, pair in INPUTS.items() if pair.modes)
FLOWS = tuple(name for name in COUNTED if name.startswith("flow"))

# ------------------------------------------------------------------------------- the draws


@dataclass(frozen=True)
class Draw:
    """One law of examples, and what learns them.

    Attributes
    ----------
    teacher, inputs : str
        Names in `TEACHERS` and `INPUTS`.
    alpha : float
        Examples per dimension; nan where inputs count modes.
    losses : tuple of str
        Names in `LOSSES`.
    sizes : tuple of (int, int)
        N, or P where inputs count modes, each with its number of seeds.
    """

    teacher: str
    inputs: str
    alpha: float
    losses: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if len(self.sizes) < 2:
            raise ValueError(
                f"`sizes` must hold at least two sizes to extrapolate from; got {self.sizes!r}"
            )

    @property
    def name(self) -> str:
        """In words."""
        about = "" if self.counted else f", alpha = {self.alpha:g}"
        return f"{self.teacher}, {self.inputs}{about}"

    @property
    def counted(self) -> bool:
        """Whether P grows and not N."""
        return INPUTS[self.inputs].modes > 0

    def examples_per(self, size: int) -> float:
        """The theory's alpha: P/N, or P where inputs count modes."""
        inputs = INPUTS[self.inputs]
        if isinstance(inputs.theory, replica.Isotropic) and inputs.modes:
            return size / inputs.modes
        return float(size) if inputs.modes else self.alpha

    def examples(self, size: int, seed: int) -> perceptron.Examples:
        """Drawn from a seed."""
        inputs, teacher = INPUTS[self.inputs], TEACHERS[self.teacher]
        N = inputs.modes or size
        law = inputs.simulated(N)
        alpha = size / N if inputs.modes else self.alpha
        if inputs.is_clusters:
            omega, mean, positive = law
            return perceptron.clusters(round(alpha * N), omega, mean, positive, seed)
        if teacher.simulated is None:
            return perceptron.random_labels(N, alpha, seed, inputs=law)
        return perceptron.teacher_student(N, alpha, seed, law, teacher=teacher.simulated)


#: What learns the draws of the matrix: all but the flow.
MATRIX = tuple(name for name in LOSSES if name != "flow")
SMOOTH = ("logistic", "exponential", "squared hinge", "square")
#: Seeds by N. A hinge loss is minimised by proximal steps, each of which costs N^3: fewer.
SIZES = ((120, 40), (240, 20), (480, 10))
HINGE_SIZES = ((72, 20), (144, 6))
FULL_SIZES = ((240, 96), (480, 48), (960, 24))
FULL_HINGE_SIZES = ((240, 64), (480, 32), (960, 16))
#: By P, where inputs count modes.
COUNTED_SIZES = ((250, 40), (500, 40), (1000, 24))
FULL_COUNTED_SIZES = ((500, 64), (1000, 48), (2000, 32))
FLOW_SIZES = ((1500, 16), (3000, 16), (6000, 12))
FULL_FLOW_SIZES = ((4000, 24), (8000, 24), (16000, 16))
#: Examples per dimension; at 1 all labels can be learned, at 3 noisy ones cannot.
FEW, MANY = 1.0, 3.0

_TEACHER_INPUTS = (  # each teacher twice, each kind of inputs three times
    ("noiseless", "rademacher", MANY),
    ("noiseless", "power law", FEW),
    ("flips", "gaussian", MANY),
    ("flips", "two levels", FEW),
    ("probit", "two levels", MANY),
    ("probit", "rademacher", FEW),
    ("flips and probit", "power law", MANY),
    ("flips and probit", "gaussian", FEW),
    ("logistic", "rademacher", MANY),
    ("logistic", "power law", FEW),
    ("random", "gaussian", FEW),
    ("random", "two levels", FEW),
    ("clusters", "balanced clusters", MANY),
    ("clusters", "balanced clusters", FEW),
    ("clusters", "unequal clusters", MANY),
    ("clusters", "unequal clusters", FEW),
)


def default_draws() -> list[Draw]:
    """A part of the matrix in which every loss, teacher and kind of inputs comes at least twice."""
    draws = []
    for i, (teacher, inputs, alpha) in enumerate(_TEACHER_INPUTS):
        losses = ["logistic", SMOOTH[1 + i % 3], "linear", "hard margin", "Bayes"]
        losses += ["logistic, ridge"] if i % 2 else [SMOOTH[1 + (i + 1) % 3]]
        draws.append(Draw(teacher, inputs, alpha, _answered(losses, teacher, inputs), SIZES))
    for teacher, inputs, alpha in (_TEACHER_INPUTS[i] for i in (0, 3, 14)):
        draws.append(Draw(teacher, inputs, alpha, ("hinge",), HINGE_SIZES))
    return [*draws, *_counted(COUNTED_SIZES, FLOW_SIZES)]


def full_draws() -> list[Draw]:
    """The whole product of losses, teachers and inputs at two alpha."""
    draws = []
    teachers = [name for name in TEACHERS if name != "clusters"]
    pairs = [(teacher, inputs) for teacher in teachers for inputs in DENSITIES]
    pairs += [("clusters", "balanced clusters"), ("clusters", "unequal clusters")]
    for teacher, inputs in pairs:
        rest = _answered([name for name in MATRIX if name != "hinge"], teacher, inputs)
        for alpha in (FEW, MANY):
            draws.append(Draw(teacher, inputs, alpha, rest, FULL_SIZES))
            draws.append(Draw(teacher, inputs, alpha, ("hinge",), FULL_HINGE_SIZES))
    return [*draws, *_counted(FULL_COUNTED_SIZES, FULL_FLOW_SIZES)]


def _counted(sizes: tuple[tuple[int, int], ...], flow: tuple[tuple[int, int], ...]) -> list[Draw]:
    """Inputs that count modes, at growing P."""
    nan, losses = float("nan"), ("logistic", "logistic, ridge")
    return [
        *(Draw("noiseless", name, nan, losses, sizes) for name in COUNTED if "flow" not in name),
        *(Draw("noiseless", name, nan, ("flow",), flow) for name in FLOWS),
    ]


def _answered(losses: list[str], teacher: str, inputs: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in losses if not why_empty(name, teacher, inputs)))


def why_empty(loss: str, teacher: str, inputs: str) -> str:
    """Why a cell of the matrix has no answer at any alpha; empty if it has."""
    if loss == "Bayes":
        if teacher == "random":
            return "nothing to infer"
        if teacher not in ("noiseless", "flips"):
            return "another channel"
        if inputs not in ("rademacher", "gaussian"):
            return "another prior"
    if loss == "linear" and inputs == "unequal clusters":
        return "the intercept runs away"
    return ""
