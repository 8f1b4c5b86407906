"""`deepnorm sweep`: train networks over P and seeds, whatever is not there yet."""

# torch is imported where it is needed: help stays quick, and says how to install it.
from __future__ import annotations

from typing import Any

import click

from deepnorm.cli.common import INTERRUPTED, BadInput, library
from deepnorm.sweeps.configuration import OPTIMIZERS, PRECISIONS, REFERENCES
from deepnorm.sweeps.defaults import DEFAULTS, MODEL

__all__ = ["sweep"]

EXAMPLES = """\b
Examples:
  deepnorm sweep -o runs                              the 8x8 digits: no files needed
  deepnorm sweep --model cnn --dataset digits -o runs
  deepnorm sweep --dataset mnist --data data --P 94,375,1500,6000 --seeds 3 -o runs
  deepnorm sweep --dataset mnist --data data --executor dask --scheduler tcp://head:8786 -o runs
  deepnorm sweep --dataset mnist --data data --executor slurm --slurm slurm_partition=gpu -o runs
"""

#: The library names arguments; whoever types a command knows the option.
OPTIONS = {
    "P": "--P",
    "batch_size": "--batch-size",
    "checkpoint_every": "--checkpoint-every",
    "conventions": "--norm",
    "data": "--data",
    "dataset": "--dataset",
    "device": "--device",
    "epochs": "--epochs",
    "executor": "--executor",
    "folder": "--output",
    "initial_scale": "--initial-scale",
    "learning_rate": "--learning-rate",
    "mix=True": "--mix",
    "model": "--model",
    "momentum": "--momentum",
    "pack": "--pack",
    "precision": "--precision",
    "records": "--records",
    "reference": "--reference",
    "scheduler": "--scheduler",
    "seeds": "--seeds",
    "steps": "--steps",
    "threads": "--threads",
    "weight_decay": "--weight-decay",
    "width": "--width",
    "workers": "--workers",
}
#: Exit code where runs failed.
FAILED = 1


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


def _words(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    """eq2,bartlett as words."""
    return None if text is None else tuple(text.split(","))


def _parameters(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE, ... as a dictionary; what looks like a whole number is one."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"must be NAME=VALUE, such as timeout_min=60; got {pair!r}")
        found[name] = int(value) if value.isdigit() else value
    return found


@click.command(epilog=EXAMPLES)
@click.option("-o", "--output", required=True, metavar="FOLDER", help="One file a run goes here.")
@click.option("--dataset", default="digits", show_default=True, help=f"{', '.join(DEFAULTS)}.")
@click.option("--model", default=MODEL, show_default=True, help="A network of deepnorm.networks.")
@click.option("--data", metavar="FOLDER", help="Where the files of the data set are.")
@click.option("--unchecked", is_flag=True, help="Take files without their published checksums.")
@click.option("--P", "P", callback=_numbers, metavar="P,P,...", help="Numbers of training images.")
@click.option("--seeds", type=click.IntRange(min=1), help="How many for each P.")
@click.option("--steps", type=int, help="Optimizer steps of each training.")
@click.option("--epochs", type=float, help="Or passes through its images.")
@click.option("--optimizer", type=click.Choice(OPTIMIZERS), help="[default: adam]")
@click.option("--learning-rate", type=float, help="[default: 0.001]")
@click.option("--momentum", type=float, help="Of sgd.  [default: 0]")
@click.option("--weight-decay", type=float, help="[default: 0]")
@click.option("--batch-size", type=int, help="[default: 128]")
@click.option("--width", type=float, help="Factor on the widths.  [default: 1]")
@click.option("--initial-scale", type=float, help="Factor on the initial weights.  [default: 1]")
@click.option("--precision", type=click.Choice(PRECISIONS), help="[default: float32]")
@click.option("--records", type=int, help="About how many for each training.  [default: 40]")
@click.option(
    "--norm",
    "conventions",
    callback=_words,
    help="[default: eq2, bartlett and the authors' for the network]",
)
@click.option("--reference", type=click.Choice(REFERENCES), help="[default: paper]")
@click.option(
    "--executor",
    type=click.Choice(["processes", "dask", "slurm"]),
    default="processes",
    show_default=True,
    help="Who works: processes here, a cluster of Dask, a queue of SLURM.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Of Dask.  [default: a cluster here]")
@click.option(
    "--slurm",
    "slurm",
    multiple=True,
    callback=_parameters,
    metavar="NAME=VALUE",
    help="A parameter of submitit, as timeout_min=60; may be repeated.",
)
@click.option("--workers", type=int, help="Processes.  [default: as many as cores or GPUs]")
@click.option("--threads", type=int, default=1, show_default=True, help="Of torch in each.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda.")
@click.option("--pack", type=int, help="Runs in one program.  [default: 1 on a CPU, 32 on a GPU]")
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
    """Train a network for every P and seed, and record its error against its norm.

    Each run becomes one file in the folder. Runs that are there are skipped, interrupted ones go
    on from their last checkpoint, and several machines may share the folder. Afterwards
    `deepnorm fit FOLDER` gives the exponents. P, seeds and steps have defaults for each data set.
    """
    if slurm and executor != "slurm":
        raise BadInput("--slurm belongs to --executor slurm")
    with library(OPTIONS):
        from deepnorm import sweeps
        from deepnorm.sweeps.executors import slurm_executor

        chosen = {name: value for name, value in settings.items() if value is not None}
        runs = sweeps.grid(model, dataset, P, seeds, steps=steps, epochs=epochs, **chosen)
        try:
            summary = sweeps.sweep(
                runs,
                output,
                data=data,
                check=not unchecked,
                executor={"processes": None, "dask": "dask"}.get(executor)
                if executor != "slurm"
                else slurm_executor(output, **slurm),
                scheduler=scheduler,
                workers=workers,
                threads=threads,
                device=device,
                pack=pack,
                checkpoint_every=checkpoint_every,
                mix=mix,
                progress=False if quiet else None,
            )
        except sweeps.SweepInterrupted as interruption:
            if quiet:
                click.echo(str(interruption), err=True)
            click.get_current_context().exit(INTERRUPTED)
    click.echo(f"{output}: {summary}")
    for name, reason in summary.reasons.items():
        click.echo(f"- {name}: {reason}")
    if summary.failed:
        click.get_current_context().exit(FAILED)
