"""`deepnorm norm`: the norm of a network in a file, layer by layer."""

# torch is imported where it is needed: help stays quick, and says how to install it.
from __future__ import annotations

import dataclasses
import importlib
import os
import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from deepnorm.cli.common import CONVENTIONS, MODELS, library
from deepnorm.sweeps.configuration import REFERENCES
from replica.common.errors import InvalidArgument
from replica.common.terminal import (
    BadInput,
    Command,
    check_outputs,
    json_option,
    say,
    table,
    terminal,
    write_json,
    written,
)
from replica.common.text import cut, printable

if TYPE_CHECKING:
    from torch import nn

    from deepnorm.norms import Complexity, Weights

__all__ = ["norm"]

EXAMPLES = """\b
Examples:
  deepnorm norm weights.pt --model cnn --input-shape 1,28,28 --classes 10
  deepnorm norm last.ckpt --architecture nets:small --input-shape 3,32,32
  deepnorm norm model.safetensors --json
  deepnorm norm exported.pt2 --trust --convention bartlett --json
"""

#: Options that belong to the norm of a network, not to tensors one by one.
OF_NETWORKS = ("input_shape", "classes", "width", "convention", "reference", "strict")
#: What the norms of tensors are, and are not.
TENSORS = (
    "each tensor as it is stored, as the matrix whose rows are its first axis (eq. N19); of a "
    "convolution that is the reshaped kernel, not the map, which depends on the image's size",
    "no norm of a network: that needs --model or --architecture, and --input-shape",
)


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
@click.option(
    "--architecture",
    metavar="MODULE:FUNCTION",
    help="The same from Python: a function without arguments that returns the module.",
)
@click.option("--key", metavar="KEY", help="Which weights, in a file that holds several.")
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
    help="Of ln R, in parts of max(1, abs(ln R)).",
)
@click.option("--strict", is_flag=True, help="Fail if the norm leaves something out.")
@json_option
def norm(
    file: str,
    input_shape: tuple[int, ...] | None,
    name: str | None,
    classes: int,
    width: float,
    architecture: str | None,
    key: str | None,
    trust: bool,
    convention: str,
    reference: str,
    tolerance: float,
    strict: bool,
    json_to: str | None,
) -> None:
    """Print the norm of a network, and what each layer contributes.

    FILE holds weights (of torch.save, as training scripts leave them, or of safetensors, also the
    index of shards), whose architecture --model or --architecture names. Nothing in the file is
    run. Without an architecture the norms of its tensors are printed one by one. A whole module
    (torch.save) without an architecture and an exported program (torch.export.save) can run
    any code when they are read, and are refused without --trust: say it only of files that you
    made or would run as a program.
    """
    check_outputs(json_to)
    with library():
        from deepnorm import norms
        from deepnorm.norms.weights import file_kind
    if name is not None and architecture is not None:
        raise BadInput("--model and --architecture exclude one another")
    with library():
        kind = file_kind(file)
        weights = None if kind == "exported" else norms.read_weights(file, key)
    shape = None
    notes: tuple[str, ...] = ()
    if weights is None or (weights.module and name is None and architecture is None):
        _refuse_code(file, trust)
        model, shape = _exported(file) if weights is None else (_pickled(file, weights.key), None)
    elif name is None and architecture is None:
        _tensors(weights, json_to)
        return
    else:
        model, notes = _network(weights, name, architecture, input_shape, classes, width)
    shape = input_shape or shape
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
    found = dataclasses.replace(found, notes=(*notes, *found.notes))
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


def _network(
    weights: Weights,
    name: str | None,
    architecture: str | None,
    shape: tuple[int, ...] | None,
    classes: int,
    width: float,
) -> tuple[nn.Module, tuple[str, ...]]:
    """The named architecture with the weights of a file, and how these were read."""
    if shape is None:
        option = "--model" if architecture is None else "--architecture"
        raise BadInput(f"--input-shape must be given with {option}, as in --input-shape 1,28,28")
    from deepnorm import networks, norms

    with library():
        if architecture is None:
            assert name is not None
            model = networks.build(name, shape, classes, width=width, seed=0)
        else:
            model = _called(architecture)
        try:
            notes = norms.load_weights(model, weights)
        except InvalidArgument:  # of --key
            raise
        except ValueError as error:
            raise BadInput(
                f"{weights.file} does not hold the weights of {name or architecture!r}: {error}"
            ) from None
    return model, (*weights.notes, *notes)


def _called(architecture: str) -> nn.Module:
    """What a function of the user's returns; its module is looked for where one stands, too."""
    from torch import nn

    place, colon, called = architecture.partition(":")
    if not (place and colon and called):
        raise BadInput(f"--architecture must be MODULE:FUNCTION; got {architecture!r}")
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        function: Any = importlib.import_module(place)
        for part in called.split("."):
            function = getattr(function, part)
        model = function()
    except Exception as error:  # whatever the user's code raises
        raise BadInput(f"--architecture {architecture} failed: {_said(error)}") from error
    finally:
        sys.path.remove(here)
    if not isinstance(model, nn.Module):
        raise BadInput(
            f"--architecture must return a torch.nn.Module; {architecture} returns "
            f"{type(model).__name__}"
        )
    return model


def _refuse_code(file: str, trust: bool) -> None:
    """Whole modules bring code along."""
    if not trust:
        raise BadInput(
            f"{file} holds more than weights, and reading it runs code that it brings with it; if "
            "you trust it as you would a program, say --trust; else name the architecture with "
            "--model or --architecture, for which its weights alone are read"
        )


def _pickled(file: str, key: str) -> nn.Module:
    """A whole module, perhaps under keys, whose file is trusted."""
    import torch

    try:
        model = torch.load(file, map_location="cpu", weights_only=False)
        if key:
            model = _under(model, key)
    except Exception as error:  # whatever the code in it raises
        raise BadInput(f"{file} cannot be read: {_said(error)}") from error
    if not isinstance(model, torch.nn.Module):
        raise BadInput(f"{file} must hold a torch.nn.Module; got {type(model).__name__}")
    return model


def _under(content: Any, key: str) -> Any:
    """What stands under keys joined by dots, each of which may have dots itself."""
    for first in content if isinstance(content, Mapping) else vars(content):
        if first == key or key.startswith(f"{first}."):
            inner = content[first] if isinstance(content, Mapping) else getattr(content, first)
            return inner if first == key else _under(inner, key[len(first) + 1 :])
    raise KeyError(key)


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
            _sides(row["shape"]),
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


def _tensors(weights: Weights, json_to: str | None) -> None:
    """The norms of the tensors of a file, where no architecture is known."""
    context = click.get_current_context()
    for option in OF_NETWORKS:
        if context.get_parameter_source(option) is not click.core.ParameterSource.DEFAULT:
            raise BadInput(
                f"{weights.file} holds weights alone: --{option.replace('_', '-')} needs --model, "
                f"one of {', '.join(MODELS)}, or --architecture"
            )
    from deepnorm import norms

    with library():
        rows = norms.tensor_norms(
            weights.tensors
            if weights.prefix is None
            else {n: t for n, t in weights.tensors.items() if n.startswith(weights.prefix)}
        )
    notes = (*weights.notes, *TENSORS)
    if json_to is not None:
        from deepnorm.report.export import jsonable

        write_json(jsonable({"notes": notes, "tensors": rows}), json_to)
    if json_to != "-":
        console = terminal()
        console.print(f"{printable(os.path.basename(weights.file))}: {len(rows)} tensors")
        console.print()
        columns = ("name", "dtype", "shape", "sigma", "norm_21", "frobenius", "no norm")
        table(
            console,
            columns,
            [
                (
                    row["name"],
                    row["dtype"],
                    _sides(row["shape"]),
                    *(_number(row[norm]) for norm in ("sigma", "norm_21", "frobenius")),
                    row["reason"],
                )
                for row in rows.to_dict(orient="records")
            ],
            wrapped=("name", "no norm"),
        )
        for note in notes:
            console.print(f"- {printable(note)}", soft_wrap=True)
    written(json_to)


def _sides(shape: tuple[int, ...]) -> str:
    """Sides of a tensor, as 16x3x3x3."""
    return "x".join(map(str, shape))


def _number(value: float) -> str:
    """Five digits; a dash for what does not apply."""
    return "-" if value != value else f"{value:.5g}"
