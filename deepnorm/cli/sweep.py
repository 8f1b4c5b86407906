"""`deepnorm sweep`: train networks over P and seeds, whatever is not there yet."""

# torch is imported where it is needed: help stays quick, and says how to install it.
from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from deepnorm.cli.common import CONVENTIONS, MODELS, Names, Suggested, library, pairs
from deepnorm.sweeps.configuration import OPTIMIZERS, PRECISIONS, REFERENCES, Run
from deepnorm.sweeps.defaults import DEFAULTS, MODEL
from replica.common import interruption
from replica.common.terminal import (
    FAILED,
    BadInput,
    Command,
    say,
)

__all__ = ["sweep"]

EXAMPLES = """\b
Examples:
  deepnorm sweep -o runs                    # the 8x8 digits: no files needed
  deepnorm sweep --P 50,144,416 --seeds 2 --steps 300 -o small
  deepnorm sweep --dataset mnist --data data --seeds 10 -o mnist
  deepnorm sweep --dataset mnist --data data -o mnist \\
      --executor dask --scheduler tcp://head:8786
  deepnorm sweep --dataset mnist --data data -o mnist \\
      --executor slurm --slurm slurm_partition=gpu --slurm timeout_min=60
"""

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

#: What a run has where nothing is said.
USUAL = {field.name: field.default for field in fields(Run)}


def _numbers(_: click.Context, __: click.Parameter, text: str | None) -> list[int] | None:
    """94,188,375 as numbers."""
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"must be whole numbers with commas, such as 94,188,375; got {text!r}"
        ) from None


def _parameters(ctx: click.Context, _: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    """As `pairs`; what looks like a whole number is one."""
    found = pairs("NAME=VALUE, such as timeout_min=60", ctx, given)
    return {name: int(text) if text.isdigit() else text for name, text in found.items()}


def _setting(*names: str, help: str, **options: Any) -> Decorator:
    """An option of every run, with the default that `Run` has."""
    usual = USUAL[names[-1].removeprefix("--").replace("-", "_")]
    told = f"{usual:g}" if isinstance(usual, float) else usual
    return click.option(*names, help=f"{help}  [default: {told}]", **options)


@click.command(cls=Command, epilog=EXAMPLES)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False),
    required=True,
    metavar="FOLDER",
    help="Where the files go, one for each run; made if it is missing.",
)
@click.option(
    "--dataset",
    type=click.Choice(tuple(DEFAULTS)),
    default="digits",
    show_default=True,
    metavar="NAME",
    help=f"Images: {', '.join(DEFAULTS)}.",
)
@click.option(
    "--model",
    type=click.Choice(MODELS),
    default=MODEL,
    show_default=True,
    metavar="NAME",
    help=f"Network: {', '.join(MODELS)}.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Where the files of the data set are; the digits need none.",
)
@click.option("--unchecked", is_flag=True, help="Take files without their published checksums.")
@click.option(
    "--P",
    "P",
    callback=_numbers,
    metavar="P,P,...",
    show_default="by data set",
    help="Numbers of training images, such as 94,188,375.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    metavar="N",
    show_default="by data set",
    help="Trainings for each P.",
)
@click.option(
    "--steps",
    type=int,
    metavar="N",
    show_default="by data set",
    help="Optimizer steps of each training, at least 1.",
)
@click.option("--epochs", type=float, metavar="X", help="Passes through its images, instead.")
@_setting(
    "--optimizer",
    type=click.Choice(OPTIMIZERS),
    metavar="NAME",
    help=f"One of {', '.join(OPTIMIZERS)}.",
)
@_setting("--learning-rate", type=float, metavar="X", help="Step size; positive.")
@_setting("--momentum", type=float, metavar="X", help="Of sgd, in [0, 1).")
@_setting("--weight-decay", type=float, metavar="X", help="At least 0.")
@_setting("--batch-size", type=int, metavar="N", help="Images of a step, at most P.")
@_setting("--width", type=float, metavar="X", help="Factor on the widths; positive.")
@_setting("--initial-scale", type=float, metavar="X", help="Factor on initial weights; positive.")
@_setting(
    "--precision",
    type=click.Choice(PRECISIONS),
    metavar="NAME",
    help=f"Of the products in training: {' or '.join(PRECISIONS)}.",
)
@_setting("--records", type=int, metavar="N", help="About so many for each training, at least 2.")
@click.option(
    "--norm",
    "conventions",
    type=Names(CONVENTIONS),
    metavar="NAME,...",
    show_default="eq2, bartlett and the authors' own",
    help=f"What is recorded as norm: {', '.join(CONVENTIONS)}.",
)
@_setting(
    "--reference",
    type=click.Choice(REFERENCES),
    metavar="NAME",
    help=f"Reference matrices of the norm: {', '.join(REFERENCES)}.",
)
@click.option(
    "--executor",
    type=click.Choice(["processes", "dask", "slurm"]),
    default="processes",
    show_default=True,
    metavar="NAME",
    help="Who works: processes here, a cluster of dask, a queue of slurm.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    show_default="a cluster here",
    help="Of dask, as tcp://host:8786.",
)
@click.option(
    "--slurm",
    "slurm",
    multiple=True,
    callback=_parameters,
    metavar="NAME=VALUE",
    help="A parameter of submitit, as timeout_min=60; may be repeated.",
)
@click.option(
    "--workers",
    type=int,
    metavar="N",
    show_default="as many as cores or GPUs",
    help="Processes.",
)
@click.option(
    "--threads",
    type=int,
    default=1,
    show_default=True,
    metavar="N",
    help="Of torch in each process.",
)
@click.option(
    "--device",
    type=Suggested(("auto", "cpu", "cuda")),
    default="auto",
    show_default=True,
    metavar="NAME",
    help="cpu, cuda, or auto: a GPU where there is one.",
)
@click.option(
    "--pack",
    type=int,
    metavar="N",
    show_default="1 on a CPU, 32 on a GPU",
    help="Runs in one program.",
)
@click.option(
    "--checkpoint-every",
    type=float,
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="What a kill may cost.",
)
@click.option("--mix", is_flag=True, help="Allow other settings beside runs that are there.")
@click.option("--quiet", is_flag=True, help="No progress.")
def sweep(
    output: str,
    dataset: str,
    model: str,
    data: str | None,
    unchecked: bool,
    P: list[int] | None,
    seeds: int | None,
    steps: int | None,
    epochs: float | None,
    executor: str,
    scheduler: str | None,
    slurm: dict[str, Any],
    workers: int | None,
    threads: int,
    device: str,
    pack: int | None,
    checkpoint_every: float,
    mix: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Train a network for every P and seed.

    Each run becomes one file in the folder, with the errors and the norm at some forty steps.
    Runs that are there are skipped, interrupted ones go on from their last checkpoint, and
    several machines may share the folder. Afterwards `deepnorm fit FOLDER` gives the exponents.
    """
    if slurm and executor != "slurm":
        raise BadInput("--slurm belongs to --executor slurm")
    with library({"folder": "output"}):
        from deepnorm import sweeps
        from deepnorm.sweeps.executors import slurm_executor

        chosen = {name: value for name, value in settings.items() if value is not None}
        runs = sweeps.grid(model, dataset, P, seeds, steps=steps, epochs=epochs, **chosen)
        workforce: Any = {"processes": None, "dask": "dask"}.get(executor)
        if executor == "slurm":
            workforce = slurm_executor(output, **slurm)
        try:
            with interruption.interruptible(), _into(output):
                summary = sweeps.sweep(
                    runs,
                    output,
                    data=data,
                    check=not unchecked,
                    executor=workforce,
                    scheduler=scheduler,
                    workers=workers,
                    threads=threads,
                    device=device,
                    pack=pack,
                    checkpoint_every=checkpoint_every,
                    mix=mix,
                    progress=False if quiet else None,
                )
        except sweeps.SweepInterrupted as stopped:
            if quiet:
                say(str(stopped), err=True)
            click.get_current_context().exit(interruption.CODE)
    say(f"{output}: {summary}")
    for name, reason in summary.reasons.items():
        say(f"- {name}: {reason}")
    if summary.failed:
        click.get_current_context().exit(FAILED)


@contextlib.contextmanager
def _into(output: str) -> Iterator[None]:
    """Around a sweep: that its folder cannot be written to is no matter of what was asked."""
    try:
        yield
    except OSError as error:
        if error.filename is None or not Path(error.filename).is_relative_to(
            Path(output).absolute()
        ):
            raise
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise click.ClickException(f"cannot write {error.filename}: {reason}") from error
