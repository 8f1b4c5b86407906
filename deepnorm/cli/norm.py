"""`deepnorm norm`: the norm of a network in a file, layer by layer."""

# torch is imported where it is needed: help stays quick, and says how to install it.
from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import click

from deepnorm.cli.common import CONVENTIONS, MODELS, library
from deepnorm.sweeps.configuration import REFERENCES
from replica.common.terminal import (
    BadInput,
    Command,
    check_outputs,
    json_option,
    say,
    table,
    terminal,
    unreadable,
    write_json,
    written,
)
from replica.common.text import cut, printable

if TYPE_CHECKING:
    from torch import nn

    from deepnorm.norms import Complexity

__all__ = ["norm"]

EXAMPLES = """\b
Examples:
  deepnorm norm weights.pt --model cnn --input-shape 1,28,28 --classes 10
  deepnorm norm model.pt --input-shape 3,32,32 --trust
  deepnorm norm exported.pt2 --trust --convention bartlett --json
"""

#: Beginning of a zip archive, which an exported program and a torch file both are.
EXPORTED = ".pt2"
#: Keys under which training scripts keep the weights.
NESTED = ("state_dict", "model_state_dict", "model")


def _shape(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """1,28,28 as numbers."""
    if text is None:
        return None
    try:
        sides = tuple(int(side) for side in text.split(","))
    except ValueError:
        sides = ()
    if not sides or min(sides) < 1:
        raise click.BadParameter(f"must be positive integers such as 1,28,28; got {text!r}")
    return sides


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--input-shape",
    callback=_shape,
    metavar="C,H,W",
    show_default="that of an exported program",
    help="Shape of one input, without the batch, such as 1,28,28.",
)
@click.option(
    "--model",
    "name",
    type=click.Choice(MODELS),
    metavar="NAME",
    help=f"Architecture of a file of weights: {', '.join(MODELS)}.",
)
@click.option(
    "--classes",
    type=click.IntRange(min=2),
    default=10,
    show_default=True,
    metavar="K",
    help="Outputs of --model.",
)
@click.option(
    "--width",
    type=float,
    default=1.0,
    show_default=True,
    metavar="X",
    help="Factor on the widths of --model; positive.",
)
@click.option("--trust", is_flag=True, help="Run the code that the file brings with it.")
@click.option(
    "--convention",
    type=click.Choice(CONVENTIONS),
    default="eq2",
    show_default=True,
    metavar="NAME",
    help=f"What is called the norm: {', '.join(CONVENTIONS)}.",
)
@click.option(
    "--reference",
    type=click.Choice(REFERENCES),
    default="paper",
    show_default=True,
    metavar="NAME",
    help=f"Reference matrices: {', '.join(REFERENCES)}.",
)
@click.option(
    "--tolerance",
    type=float,
    default=1e-7,
    show_default=True,
    metavar="X",
    help="Of ln R, in parts of max(1, |ln R|).",
)
@click.option("--strict", is_flag=True, help="Fail if the norm leaves something out.")
@json_option
def norm(
    file: str,
    input_shape: tuple[int, ...] | None,
    name: str | None,
    classes: int,
    width: float,
    trust: bool,
    convention: str,
    reference: str,
    tolerance: float,
    strict: bool,
    json_to: str | None,
) -> None:
    """Print the norm of a network, and what each layer contributes.

    FILE holds the weights of a network that --model names (a state_dict; the safe way: no code is
    run), or a whole module (torch.save), or an exported program (.pt2, torch.export.save). The
    latter two can run any code when they are read, and are refused without --trust: say it
    only of files that you made or would run as a program.
    """
    check_outputs(json_to)
    with library():
        from deepnorm import norms
    model, known_shape = _load(file, name, input_shape, classes, width, trust)
    shape = input_shape or known_shape
    if shape is None:
        raise BadInput("--input-shape must be given, as in --input-shape 1,28,28")
    with warnings.catch_warnings(record=True) as caught, library():
        warnings.simplefilter("always")
        found = norms.spectral_complexity(
            model,
            shape,
            convention=convention,
            reference=reference,
            strict=strict,
            tolerance=tolerance,
            progress=True,
        )
    if json_to is not None:
        from deepnorm.report.export import jsonable

        names = ("log_value", "log_error", "convention", "reference", "notes", "layers")
        write_json(jsonable({name: getattr(found, name) for name in names}), json_to)
    if json_to != "-":
        _print(found, os.path.basename(file))
    for warning in caught:
        say(f"Warning: {' '.join(str(warning.message).split())}", err=True)
    written(json_to)


# ------------------------------------------------------------------------------- reading


def _load(
    file: str,
    name: str | None,
    shape: tuple[int, ...] | None,
    classes: int,
    width: float,
    trust: bool,
) -> tuple[nn.Module, tuple[int, ...] | None]:
    """The network of a file, and the shape of its input if the file knows it."""
    if file.endswith(EXPORTED):
        _refuse_code(file, trust)
        return _exported(file)
    weights = _weights(file)
    if weights is None:
        _refuse_code(file, trust)
        return _pickled(file), None
    if name is None:
        raise BadInput(
            f"{file} holds weights alone: --model must name their architecture, one of "
            f"{', '.join(MODELS)}"
        )
    if shape is None:
        raise BadInput("--input-shape must be given with --model, as in --input-shape 1,28,28")
    from deepnorm import networks

    with library():
        model = networks.build(name, shape, classes, width=width, seed=0)
    from deepnorm.norms.state import load_state

    try:
        load_state(model, weights)
    except ValueError as error:
        raise BadInput(f"{file} does not hold the weights of {name!r}: {error}") from None
    return model, None


def _refuse_code(file: str, trust: bool) -> None:
    """Whole modules bring code along."""
    if not trust:
        raise BadInput(
            f"{file} holds more than weights, and reading it runs code that it brings with it; if "
            "you trust it as you would a program, say --trust; else save model.state_dict() and "
            "name the architecture with --model"
        )


def _weights(file: str) -> dict[str, Any] | None:
    """A state_dict, perhaps inside a dictionary of a training script; None if it is none."""
    import pickle

    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of foreign pickles, which are refused anyway
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _is_pickle(file):
            return None  # it asks for classes: a whole module
        raise BadInput(f"{file} cannot be read as a torch file") from error
    except MemoryError:
        raise
    except OSError as error:
        raise unreadable(error) from None
    except Exception as error:  # whatever torch's reader stumbles over in bytes that are no pickle
        said = str(error) or type(error).__name__
        raise BadInput(f"{file} cannot be read as a torch file: {cut(said)}") from None
    for key in NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not all(
        isinstance(v, torch.Tensor) for v in content.values()
    ):
        raise BadInput(
            f"{file} must hold a state_dict, or one under the key {', '.join(NESTED)}; "
            f"got {type(content).__name__}"
        )
    return content


def _is_pickle(file: str) -> bool:
    """Whether it is a torch archive, or a pickle by its first byte."""
    import pickle
    import zipfile

    if zipfile.is_zipfile(file):
        return True
    with open(file, "rb") as content:
        return content.read(1) == pickle.PROTO


def _pickled(file: str) -> nn.Module:
    """A whole module, whose file is trusted."""
    import torch

    try:
        model = torch.load(file, map_location="cpu", weights_only=False)
    except Exception as error:  # whatever the code in it raises
        raise BadInput(f"{file} cannot be read: {_said(error)}") from error
    if not isinstance(model, torch.nn.Module):
        raise BadInput(f"{file} must hold a torch.nn.Module; got {type(model).__name__}")
    return model


def _said(error: Exception) -> str:
    """An error of somebody else's code, in one line that is not too long."""
    return cut(f"{type(error).__name__}: {' '.join(str(error).split())}")


def _exported(file: str) -> tuple[nn.Module, tuple[int, ...] | None]:
    """An exported program, and the shape of its example."""
    import torch

    try:
        program = torch.export.load(file)
        model = program.module()
    except Exception as error:  # of a damaged archive; a dozen kinds
        raise BadInput(f"{file} cannot be read: {_said(error)}") from error
    examples = program.example_inputs[0] if program.example_inputs else ()
    first = examples[0] if examples else None
    return model, tuple(first.shape[1:]) if isinstance(first, torch.Tensor) else None


# ------------------------------------------------------------------------------ printing


def _print(found: Complexity, name: str) -> None:
    """The norm, the table of layers, and the notes."""
    from deepnorm.words import plain, power_of_ten

    console = terminal()
    number = power_of_ten(found.log_value)
    size = plain(number) or f"{number[0]}e{number[1]}"
    console.print(
        f"{printable(name)}: R = {size}, ln R = {found.log_value:.6f} "
        f"({found.convention}, reference {found.reference})",
        soft_wrap=True,
    )
    console.print()
    rows = [
        (
            row["name"],
            row["kind"],
            "x".join(str(side) for side in row["shape"]),
            _number(row["sigma"]),
            _number(row["norm_21"]),
            "" if row["counted"] else row["reason"] or "not counted",
        )
        for row in found.layers.to_dict(orient="records")
    ]
    table(
        console,
        ("name", "kind", "shape", "sigma", "norm_21", "not counted"),
        rows,
        wrapped=("name", "not counted"),
    )
    for note in found.notes:
        console.print(f"- {printable(note)}", soft_wrap=True)


def _number(value: float) -> str:
    """Five digits; a dash for what does not apply."""
    return "-" if value != value else f"{value:.5g}"
