"""What decides a run, frozen and hashed; and grids of runs."""

# What checks numbers imports numpy, for which help need not wait.
from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import numbers
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from deepnorm.sweeps.defaults import DEFAULTS, conventions_of
from replica.common.errors import InvalidArgument, quoted

__all__ = ["FORMAT", "OPTIMIZERS", "PRECISIONS", "REFERENCES", "Run", "grid"]

#: Part of every hash: raised when the same configuration would give other records.
FORMAT = 1
OPTIMIZERS = ("adam", "adamw", "sgd")
PRECISIONS = ("float32", "bfloat16")
REFERENCES = ("paper", "zero", "initial")
#: Digits of the hash in the name of a file: among 10^6 runs two agree with probability 2e-3.
DIGITS = 12
#: No whole number in a configuration is larger: columns of a table hold 64 bits.
LARGEST = 2**63 - 1
#: Records are held in memory, and every one takes a look at the images.
MOST_RECORDS = 100_000


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training: everything that decides its records, and nothing else.

    The machine, the number of threads or workers and how runs are packed are not part of it.

    Attributes
    ----------
    dataset, model : str
        Names in `deepnorm.datasets.NAMES` and `deepnorm.networks.NAMES`.
    P : int
        Number of training images, a random subset.
    seed : int
        With P it decides the subset, the initial weights, the order of the batches and dropout,
        each by a random stream of its own.
    steps : int
        Optimizer steps of the whole training.
    optimizer : {"adam", "adamw", "sgd"}
        With the defaults of PyTorch for what is not named here.
    learning_rate, weight_decay : float
        The weight decay of "adam" and "sgd" is an L2 penalty, that of "adamw" is decoupled.
    momentum : float
        Of "sgd"; must be 0 for the others.
    batch_size : int
        At most P is used; the last partial batch of an epoch is kept.
    records : int
        How many records are asked for, at log-spaced steps from 1 to `steps`; those that fall on
        the same step are one.
    width, initial_scale : float
        Factors on the widths of the network and on its initial weights.
    conventions : tuple of str
        Under which ln R is recorded, in `deepnorm.norms.CONVENTIONS`.
    reference : {"paper", "zero", "initial"}
        Reference matrices of the norm.
    precision : {"float32", "bfloat16"}
        Of the products during training (autocast); weights, evaluation and norms are float32 or
        better.
    train_images, test_images : int or None
        At most so many images are evaluated at a record; None for all. Those of the training are
        the first of the random subset, those of the test the first of the test set.
    """

    dataset: str
    model: str
    P: int
    seed: int
    steps: int
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    batch_size: int = 128
    records: int = 40
    width: float = 1.0
    initial_scale: float = 1.0
    conventions: tuple[str, ...] = ("eq2", "bartlett")
    reference: str = "paper"
    precision: str = "float32"
    train_images: int | None = 10_000
    test_images: int | None = None

    def __post_init__(self) -> None:
        """Check every field, and give numbers and tuples their one form, which is hashed."""
        from replica.common import arguments

        put = object.__setattr__
        for name in ("dataset", "model"):
            _check_name(name, getattr(self, name))
        for name, lowest in (("P", 1), ("seed", 0), ("steps", 1), ("batch_size", 1)):
            put(self, name, arguments.whole(name, getattr(self, name), lowest, LARGEST))
        put(self, "records", arguments.whole("records", self.records, 2, MOST_RECORDS))
        for name in ("train_images", "test_images"):
            value = getattr(self, name)
            put(self, name, None if value is None else arguments.whole(name, value, 1, LARGEST))
        for name in ("learning_rate", "width", "initial_scale"):
            put(self, name, arguments.number(name, getattr(self, name), arguments.POSITIVE))
        for name in ("momentum", "weight_decay"):
            put(self, name, arguments.number(name, getattr(self, name), arguments.NOT_NEGATIVE))
        arguments.word("optimizer", self.optimizer, OPTIMIZERS)
        arguments.word("precision", self.precision, PRECISIONS)
        arguments.word("reference", self.reference, REFERENCES)
        if self.momentum and self.optimizer != "sgd":
            raise InvalidArgument(
                "momentum",
                'belongs to `optimizer="sgd"`',
                f"{self.momentum!r} with {self.optimizer!r}",
            )
        if self.momentum >= 1:
            raise InvalidArgument("momentum", "must be below 1", quoted(self.momentum))
        put(self, "conventions", _names(self.conventions))

    @property
    def digest(self) -> str:
        """SHA-256 over all fields and the version of the format, in hexadecimal."""
        text = json.dumps({"format": FORMAT, **self.as_dict()}, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def stem(self) -> str:
        """The name of its file without the ending: what one would look for, and the hash."""
        readable = f"{self.model}_{self.dataset}_P{self.P}_seed{self.seed}"
        return f"{readable}_{self.digest[:DIGITS]}"

    @property
    def file_name(self) -> str:
        """The name of its file in the folder of a sweep."""
        return f"{self.stem}.json"

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one pass through the P images, the last partial one included."""
        return math.ceil(self.P / self.batch_size)

    @property
    def record_steps(self) -> tuple[int, ...]:
        """The steps after which a record is taken: log-spaced, increasing, the last at the end."""
        last = self.records - 1
        steps = {round(self.steps ** (k / last)) for k in range(self.records)}
        return tuple(sorted(steps))

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, as JSON holds them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"conventions": list(self.conventions)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Run:
        """The run of a dictionary made by `as_dict`.

        Raises
        ------
        ValueError
            If a field is missing, unknown or out of range.
        """
        names = {field.name for field in fields(cls)}
        if not _is_mapping(values):
            raise ValueError(f"the fields of a run are {sorted(names)}; got {values!r}")
        if set(values) != names:
            odd = sorted(map(str, set(values) ^ names))
            raise ValueError(f"the fields of a run are {sorted(names)}; differing: {odd}")
        return cls(**values)


def grid(
    model: str,
    dataset: str,
    P: Iterable[int] | None = None,
    seeds: int | Iterable[int] | None = None,
    *,
    steps: int | None = None,
    epochs: float | None = None,
    **settings: Any,
) -> list[Run]:
    """Every P with every seed, the settings being the same.

    Parameters
    ----------
    model, dataset : str
        As in `Run`.
    P : iterable of int, optional
        Numbers of training images; without it those of `defaults.DEFAULTS` for the data set.
    seeds : int or iterable of int, optional
        How many seeds, counted from 0, or which.
    steps, epochs : int, float, optional
        The length of each training: the same number of steps for each P, or of passes through
        its P images. At most one of them.
    **settings
        Further fields of `Run`. Where nothing is said of the conventions of the norm, that of the
        paper's authors for this kind of network is recorded too.

    Returns
    -------
    list of Run

    Raises
    ------
    ValueError
        If a value is out of range, given twice, or missing for a data set without defaults.
    """
    for name, value in (("model", model), ("dataset", dataset)):
        _check_name(name, value)
    usual = DEFAULTS.get(dataset)
    settings = {"conventions": conventions_of(model), **settings}
    if steps is not None and epochs is not None:
        raise InvalidArgument(
            "epochs", "must not be given with `steps`", f"{quoted(epochs)} and {quoted(steps)}"
        )
    if usual is None and (P is None or (steps is None and epochs is None)):
        raise InvalidArgument(
            "P",
            f"and `steps` (or `epochs`) must be given for the data set {dataset!r}; "
            f"defaults are known for {', '.join(DEFAULTS)}",
        )
    if usual is not None:
        P = usual.P if P is None else P
        seeds = usual.seeds if seeds is None else seeds
        settings = {**usual.settings, **settings}
        if epochs is None and steps is None:
            small = usual.full_steps is None or model.endswith("-small")
            steps = usual.steps if small else usual.full_steps
    length = 1 if steps is None else steps
    chosen_P = _distinct("P", () if P is None else P)
    chosen_seeds = _distinct("seeds", _seeds(seeds))
    return [
        _sized(epochs, model=model, dataset=dataset, P=p, seed=seed, steps=length, **settings)
        for p in chosen_P
        for seed in chosen_seeds
    ]


def _sized(epochs: float | None, **values: Any) -> Run:
    """The run, with as many steps as those epochs have."""
    from replica.common import arguments

    run = Run(**values)
    if epochs is None:
        return run
    passes = arguments.number("epochs", epochs, arguments.POSITIVE)
    steps = passes * run.steps_per_epoch
    if steps > LARGEST:
        raise InvalidArgument("epochs", f"must give at most {LARGEST} steps", quoted(epochs))
    return dataclasses.replace(run, steps=max(1, round(steps)))


def _seeds(seeds: Any) -> Iterable[int]:
    """Which seeds: one where nothing is said, the first so many where a number is given."""
    from replica.common import arguments

    if seeds is None:
        return (0,)
    if isinstance(seeds, numbers.Integral):
        return range(arguments.whole("seeds", seeds, 1, LARGEST))
    return seeds


def _distinct(name: str, values: Iterable[int]) -> list[int]:
    """As a list that is neither empty nor repeats itself."""
    from replica.common import arguments

    try:
        listed = list(values)
    except TypeError:
        raise InvalidArgument(name, "must be several whole numbers", quoted(values)) from None
    result = [arguments.whole(name, value, 0, LARGEST) for value in listed]
    if not result:
        raise InvalidArgument(name, "must hold at least one number")
    repeated = sorted(value for value, count in Counter(result).items() if count > 1)
    if repeated:
        raise InvalidArgument(name, f"must not repeat a number; twice: {repeated}")
    return result


def _is_mapping(values: object) -> bool:
    """Whether it has names and values; what is read from a file may have none."""
    return isinstance(values, Mapping)


def _check_name(name: str, value: object) -> None:
    """A name that may stand in the name of a file."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", value):
        raise InvalidArgument(name, "must be a name of letters, digits, . and -", quoted(value))


def _names(conventions: Any) -> tuple[str, ...]:
    """The conventions of the norm: a few distinct names, in their order."""
    if isinstance(conventions, str):
        conventions = (conventions,)
    try:
        names = tuple(conventions)
    except TypeError:
        names = ()
    for name in names:
        _check_name("conventions", name)
    if not names or len(set(names)) < len(names):
        raise InvalidArgument(
            "conventions", "must be one or more distinct names", quoted(conventions)
        )
    return names
