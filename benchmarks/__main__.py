"""`python -m benchmarks`: one table of timings, accuracies and memory.

Where two codes were measured in pairs, one right after the other, the ratio is
that of the pairs, so that a slower clock or a busy machine hits both. Each
part can be run alone: `python -m benchmarks theory`.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.table import Row, table

#: Modules of this folder with a function `rows(repeats)`.
PARTS = ("theory", "descent", "fixed_norm", "max_margin", "scaling", "norms", "training")


def surroundings() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        **{name: version(name) for name in ("numpy", "scipy", "numba", "mpmath", "torch")},
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the numbers too.")
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Repetitions of each measurement.",
)
def main(parts: tuple[str, ...], output: Path | None, repeats: int) -> None:
    """Time this library beside what else there is: all PARTS, or those that are named."""
    about = surroundings()
    console = Console(highlight=False)
    console.print(", ".join(f"{name} {value}" for name, value in about.items()), soft_wrap=True)
    rows: list[Row] = []
    for part in parts or PARTS:
        click.echo(f"{part} ...", err=True)
        rows += importlib.import_module(f"benchmarks.{part}").rows(repeats)
    console.print()
    console.print(table(rows))
    if output is not None:
        record = {"surroundings": about, "rows": [row.record() for row in rows]}
        output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
