"""What is checked before a sweep begins: nothing that fails here has cost any work."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch

from deepnorm import networks
from deepnorm.datasets import NAMES, Images, load
from deepnorm.norms import CONVENTIONS, NormTracker
from deepnorm.sweeps.configuration import Run
from deepnorm.sweeps.files import Survey
from deepnorm.sweeps.members import build
from deepnorm.sweeps.packed import has_batch_statistics
from replica.common.arguments import InvalidArgument, Range, number, quoted, whole

__all__ = ["check_mixing", "check_networks", "check_numbers", "distinct", "load_data"]

#: Fields in which the runs of one learning curve may differ.
FREE = {"P", "seed", "steps", "records"}
#: Arguments of a sweep that count something; the other numbers are seconds.
COUNTS = {"workers", "threads", "pack"}
SECONDS = Range(
    0.0, math.inf, "must be a positive number of seconds", low_open=True, high_open=True
)


def distinct(runs: Iterable[Run]) -> list[Run]:
    """The runs, each once.

    Raises
    ------
    ValueError
        If there are none, or something else is among them.
    """
    chosen = list(dict.fromkeys(runs))
    if not chosen:
        raise InvalidArgument("runs", "must hold at least one run; `grid` makes them")
    for run in chosen:
        if not isinstance(run, Run):
            raise InvalidArgument("runs", "must hold objects of the class Run", quoted(run))
    return chosen


def check_numbers(**values: object) -> None:
    """Counts of at least 1 and positive seconds; None where nothing was said.

    Raises
    ------
    ValueError
        If one is not.
    """
    for name, value in values.items():
        if value is not None and name in COUNTS:
            whole(name, value, 1)
        elif value is not None:
            number(name, value, SECONDS)


def check_mixing(runs: Sequence[Run], present: Sequence[Run]) -> None:
    """Refuse runs that would end up in the same learning curves with different settings.

    Runs of one network and data set must agree in all but P, seed and length, and those of one
    P in the length too.

    Raises
    ------
    ValueError
        If they do not; the message says in what.
    """
    first: dict[tuple[object, ...], Run] = {}
    for run in (*present, *runs):
        for key in ((run.model, run.dataset), (run.model, run.dataset, run.P)):
            other = first.setdefault(key, run)
            free = FREE if len(key) == 2 else {"seed"}
            ours, theirs = run.as_dict(), other.as_dict()
            differing = [name for name in ours if name not in free and ours[name] != theirs[name]]
            if differing:
                told = ", ".join(f"{n}={theirs[n]!r} and {n}={ours[n]!r}" for n in differing)
                where = "the folder holds runs" if other in present else "`runs` holds some"
                raise InvalidArgument(
                    "mix",
                    f"must be given: {where} of {run.model} on {run.dataset} with other settings "
                    f"({told}), and a fit would mix them; use another folder, or select by column",
                )


def load_data(
    runs: Sequence[Run], source: str | Images | None, check: bool, found: Survey
) -> dict[str, Images]:
    """The data sets of the runs, by name.

    Raises
    ------
    ValueError
        If there is no such set, it has too few images, or finished runs saw others.
    OSError
        If it cannot be read.
    """
    sets: dict[str, Images] = {}
    for name in dict.fromkeys(run.dataset for run in runs):
        if isinstance(source, Images):
            if source.name != name:
                raise InvalidArgument("data", f"is {source.name!r}, and there are runs of {name!r}")
            sets[name] = source
        else:
            if name not in NAMES:
                raise InvalidArgument("dataset", f"must be one of {', '.join(NAMES)}", quoted(name))
            sets[name] = load(name, source, check=check)
    for run in runs:
        count = len(sets[run.dataset].train_images)
        if count < run.P:
            raise InvalidArgument(
                "P", f"must be at most {count}, the training images of {run.dataset}", f"{run.P}"
            )
    for result in found.results:
        images = sets.get(result.run.dataset)
        if images is not None and images.digest != result.data_digest:
            raise ValueError(
                f"{result.run.file_name} in the folder saw other images of {images.name!r} than "
                "these; use another folder"
            )
    return sets


def check_networks(runs: Sequence[Run], sets: dict[str, Images]) -> bool:
    """Build every network once, with what measures its norm; whether one has batch statistics.

    Raises
    ------
    ValueError
        If there is no such network or convention, or it does not suit the images.
    """
    seen: dict[tuple[object, ...], Run] = {}
    for run in runs:
        key = (run.model, run.dataset, run.width, run.conventions, run.reference)
        seen.setdefault(key, run)
    statistics = False
    for run in seen.values():
        if run.model not in networks.NAMES:
            raise InvalidArgument(
                "model", f"must be one of {', '.join(networks.NAMES)}", quoted(run.model)
            )
        unknown = [name for name in run.conventions if name not in CONVENTIONS]
        if unknown:
            raise InvalidArgument(
                "conventions", f"must be among {', '.join(CONVENTIONS)}", f"{', '.join(unknown)}"
            )
        images = sets[run.dataset]
        model = build(run, images)
        NormTracker(model, images.input_shape, conventions=run.conventions, reference=run.reference)
        statistics |= has_batch_statistics(model)
        with torch.inference_mode():  # a width that a layer cannot have shows here
            model.eval()(images.standardise(images.test_images[:1]))
    return statistics
