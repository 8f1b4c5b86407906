"""P and seed of a run, from the names of files and runs or from a configuration beside."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replica.common.arguments import InvalidArgument, quoted

__all__ = ["CONFIGURATIONS", "Pattern", "configuration"]

#: Names of files in which frameworks keep what a run was told.
CONFIGURATIONS = (
    *("config.json", "hparams.json", "args.json", "params.json"),
    *("hparams.yaml", "config.yaml", "hparams.yml", "config.yml"),
)
#: What a field of a pattern stands for.
FIELDS = {
    "P": r"[0-9]+(?:\.[0-9]+)?(?:[eE]\+?[0-9]+)?",
    "seed": r"[0-9]+|[^/\\\s_.-]+",
    "tag": r"[^/\\]+?",
}
#: Without a pattern: P and a number, seed and a number, in any order, as in "P1000_seed=3".
DEFAULT = {
    "P": re.compile(r"(?<![A-Za-z])(?:P|n_train|train_size)[=_-]?(" + FIELDS["P"] + r")(?![0-9])"),
    "seed": re.compile(r"(?<![A-Za-z])seed[=_-]?([0-9]+)"),
}
#: A configuration is short; a line of it as YAML writes a scalar.
LARGEST = 1 << 20
SCALAR = re.compile(r"([A-Za-z_][\w.]*):[ \t]*(\S.*?)?[ \t]*")


class Pattern:
    """How the names of files or runs tell P and seed.

    Parameters
    ----------
    text : str, optional
        Text with fields in braces: ``P{P}/seed{seed}``. `P` is a number, `seed` a word or number
        without ``/ _ . -``, `tag` the quantity of the file; `*` stands for anything within a
        name. It may match anywhere. If left out, "P1000" and "seed3" are looked for.

    Raises
    ------
    InvalidArgument
        If it has no field or an unknown one.
    """

    def __init__(self, text: str | None = None) -> None:
        self.text = text
        self._expression: re.Pattern[str] | None = None
        if text is None:
            return
        if not isinstance(text, str):
            raise InvalidArgument("pattern", "must be text", quoted(text))
        pieces = re.split(r"(\{[^{}]*\}|\*)", text)
        fields = [piece[1:-1] for piece in pieces if piece.startswith("{")]
        if not fields or set(fields) - FIELDS.keys() or len(set(fields)) < len(fields):
            raise InvalidArgument(
                "pattern", "must have each of the fields {P}, {seed}, {tag} at most once, and one "
                "of them", quoted(text),
            )  # fmt: skip
        parts = [
            f"(?P<{piece[1:-1]}>{FIELDS[piece[1:-1]]})"
            if piece.startswith("{")
            else r"[^/\\]*?" if piece == "*" else re.escape(piece)
            for piece in pieces
        ]  # fmt: skip
        # a field or a word of the pattern is a whole one in the name
        begins = r"(?<![A-Za-z0-9])" if text[0] == "{" or text[0].isalnum() else ""
        ends = r"(?![A-Za-z0-9])" if text[-1] == "}" or text[-1].isalnum() else ""
        self._expression = re.compile(begins + "".join(parts) + ends)

    def labels(self, name: str) -> dict[str, str] | None:
        """The fields of a name: those that are found without a pattern; None if it has another."""
        if self._expression is None:
            found = {key: known.findall(name) for key, known in DEFAULT.items()}
            return {key: values[-1] for key, values in found.items() if values}
        matched = self._expression.search(name)
        return None if matched is None else matched.groupdict()

    def matches(self, name: str) -> bool:
        """Whether a name is meant; any, without a pattern."""
        return self._expression is None or self._expression.search(name) is not None


def configuration(folder: Path) -> Mapping[str, Any]:
    """The numbers and words of a configuration in a folder: its first that is there; else empty."""
    for name in CONFIGURATIONS:
        path = folder / name
        try:
            if not path.is_file() or path.stat().st_size > LARGEST:
                continue
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        return _flat(_json(text)) if name.endswith(".json") else _yaml(text)
    return {}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {}


def _flat(content: Any, stem: str = "") -> dict[str, Any]:
    """Scalars by their name, nested ones with points; wandb puts each below ``value``."""
    if not isinstance(content, Mapping):
        return {}
    flat: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{stem}{key}"
        if isinstance(value, Mapping):
            nested = _flat(value, f"{name}.")
            flat |= {k.removesuffix(".value"): v for k, v in nested.items()}
        elif isinstance(value, int | float | str) and not isinstance(value, bool):
            flat[name] = value
    return flat


def _yaml(text: str) -> dict[str, Any]:
    """Lines ``name: scalar`` without indentation, and wandb's ``value:`` below a name."""
    found: dict[str, Any] = {}
    above = ""
    for line in text.splitlines():
        known = SCALAR.fullmatch(line.strip())
        if known is None:
            continue
        indented = line[:1].isspace()
        key, value = known[1], (known[2] or "").strip("'\"")
        if not indented:
            above = key
        name = above if indented and key == "value" else key
        if value and value[0] not in "#{[&*!|>" and (not indented or key == "value"):
            found[name] = value
    return found
