"""Which column of a table holds what: by name, by the user's word, never in silence."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from replica.common.arguments import InvalidArgument, quoted
from replica.scaling.curves.words import listed_titles

__all__ = ["NAMES", "Found", "find", "ignored", "is_accuracy", "kind_of", "with_levels"]

#: Names a table may use, in the order of the canonical table.
NAMES = ("P", "seed", "step", "epoch", "norm", "log_norm", "test_error", "train_error", "loss")
#: Words in a column's name, and what they say that it holds. Choices.
KINDS = {
    **dict.fromkeys(("error", "err"), "error"),
    **dict.fromkeys(("acc", "accuracy", "score", "scores", "top1", "acc1"), "accuracy"),
    **dict.fromkeys(("loss", "nll", "xent", "crossentropy"), "loss"),
}
#: Words that say of which examples.
HELD_OUT = frozenset({"val", "valid", "validation", "test", "eval", "dev", "heldout", "holdout"})
TRAINING = frozenset({"train", "training", "fit"})
#: Columns beside the quantity itself: its extremes, its spread.
BESIDE = frozenset({"min", "max", "std", "var", "best", "norm", "time", "runtime", "lr", "sem"})
#: Names under which the number of examples is often kept.
EXAMPLES = frozenset(
    {"n", "n_train", "ntrain", "num_train", "train_size", "size_train", "n_examples"}
    | {"num_examples", "num_samples", "n_samples", "samples", "dataset_size"}
)


@dataclass(frozen=True)
class Found:
    """Where the columns are.

    Attributes
    ----------
    where : mapping of str to int
        Position of each canonical column that is there.
    notes : tuple of str
        What was read under another name.
    """

    where: Mapping[str, int]
    notes: tuple[str, ...] = ()


def with_levels(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with the named levels of its index among the columns."""
    levels = [name for name in frame.index.names if name is not None and name not in frame.columns]
    return frame.reset_index(level=levels) if levels else frame


def kind_of(title: Hashable) -> tuple[str, str]:
    """What the words of a title say: error, accuracy, loss or nothing; held out, training or not.

    "val_acc" is ("accuracy", "held out"), "loss" is ("loss", "").
    """
    words = re.split(r"[^0-9a-z]+", title.lower()) if isinstance(title, str) else []
    if not BESIDE.isdisjoint(words):
        return "", ""
    kind = next((KINDS[word] for word in words if word in KINDS), "")
    if not HELD_OUT.isdisjoint(words):
        return kind, "held out"
    return kind, "training" if not TRAINING.isdisjoint(words) else ""


def is_accuracy(title: Hashable) -> bool:
    """Whether a title says that the column holds accuracies."""
    return kind_of(title)[0] == "accuracy"


def find(frame: pd.DataFrame, columns: Mapping[str, Hashable], quantity: str) -> Found:
    """Position of each canonical column that is there.

    Raises
    ------
    ValueError
        If one that is needed is not there, there twice, or not to be told from others; if the
        user's mapping makes no sense.
    """
    titles: list[Hashable] = list(frame.columns)
    wanted = _mapped(columns, titles)
    mapped = set(wanted.values())
    norms = {"norm", "log_norm"}
    known = set(titles)
    for name in NAMES:
        settled = name in norms and not norms.isdisjoint(columns)
        if name not in wanted and name in known and name not in mapped and not settled:
            wanted[name] = name
    if norms <= set(wanted):
        raise ValueError(
            "the table has both `norm` and `log_norm`: choose one, as in "
            "columns={'log_norm': 'log_norm'} (`--map log_norm=log_norm`)"
        )
    notes: list[str] = []
    if "test_error" not in wanted:
        free = [title for title in titles if title not in wanted.values()]
        title = _quantity(free, quantity)
        if title is not None:
            wanted["test_error"] = title
            if not is_accuracy(title):  # what that means is said where the numbers are read
                notes.append(f"{title!r} is read as the {_WORDS[quantity]} of examples held out")
    _refuse_incomplete(wanted, titles, quantity)
    for name, title in wanted.items():
        if titles.count(title) > 1:
            raise ValueError(f"column {title!r}, read as `{name}`, is there twice: rename one")
    return Found(
        {name: titles.index(wanted[name]) for name in NAMES if name in wanted}, tuple(notes)
    )


#: What the column of the error may hold, in words.
_WORDS = {"test_error": "error", "loss": "loss"}


def _quantity(titles: Sequence[Hashable], quantity: str) -> Hashable | None:
    """The one column that by its name holds what is asked for, of examples held out; or None."""
    kinds = ("error", "accuracy") if quantity == "test_error" else ("loss",)
    for kind in kinds:
        alike = [title for title in titles if kind_of(title) == (kind, "held out")]
        if len(alike) == 1:
            return alike[0]
        if alike:
            raise ValueError(
                f"several columns may be the {_WORDS[quantity]}: {listed_titles(alike)}; choose "
                f"one, as in columns={{'test_error': {alike[0]!r}}} (`--map test_error={alike[0]}`)"
            )
    return None


def _mapped(columns: Any, titles: Sequence[Hashable]) -> dict[str, Hashable]:
    """The user's mapping of names, checked."""
    if not isinstance(columns, Mapping):
        raise InvalidArgument(
            "columns", "must map names of this library to those of the table", quoted(columns)
        )
    for name, title in columns.items():
        if name not in NAMES:
            raise InvalidArgument(
                "columns",
                f"must map one of {', '.join(NAMES)} to a column of the table",
                quoted(name),
            )
        if title not in titles:
            raise InvalidArgument(
                "columns",
                f"must map `{name}` to a column of the table",
                f"{title!r}, and its columns are {listed_titles(titles)}",
            )
    if len(set(columns.values())) < len(columns):
        raise InvalidArgument("columns", "must not map two names to one column", f"{dict(columns)}")
    if "norm" in columns and "log_norm" in columns:
        raise InvalidArgument("columns", "must map `norm` or `log_norm`, not both")
    return dict(columns)


def _refuse_incomplete(
    wanted: Mapping[str, Hashable], titles: Sequence[Hashable], quantity: str
) -> None:
    """Refuse a table without P or test error, and suggest what may be meant.

    A table without a norm has to have a clock, or a single record for each curve, which is seen
    later; a norm that differs in case only is refused here, since it would be left unread.
    """
    free = [title for title in titles if title not in wanted.values()]
    lacking: list[str] = []
    alike: list[str] = []
    for names in (("P",), ("norm", "log_norm"), ("test_error",)):
        if any(name in wanted for name in names):
            continue
        near = [*filter(None, [_suggestion(name, free) for name in names])]
        if names[0] != "norm" or near or not {"step", "epoch"} & wanted.keys():
            lacking.append(" or ".join(f"`{name}`" for name in names))
            alike += near
    if not lacking or (lacking == ["`norm` or `log_norm`"] and not alike):
        return
    if "P" not in wanted and not alike:
        alike += _lacking_examples(free)
    if "test_error" not in wanted:
        alike += _other_quantities(free, quantity) or [
            "name the error, as in columns={'test_error': 'wrong'} (`--map test_error=...`)"
        ]
    out = alike or ["name it, as in columns={'norm': 'spectral_norm'} (`--map norm=...`)"]
    raise ValueError(
        f"the table has no column {', no column '.join(lacking)}; its columns are "
        f"{listed_titles(titles)}; {'; '.join(out)}"
    )


def _lacking_examples(titles: Iterable[Hashable]) -> list[str]:
    """Ways to say how many training examples there were."""
    for title in titles:
        if isinstance(title, str) and title.lower() in EXAMPLES:
            return [_say("P", title, "is the number of training examples")]
    return [
        "where it stands in the names of files or runs, give pattern='P{P}/seed{seed}' "
        "(`--pattern 'P{P}/seed{seed}'`)"
    ]


def _other_quantities(titles: Iterable[Hashable], quantity: str) -> list[str]:
    """What else may stand for the error, with the option that each needs."""
    hints = []
    for title in titles:
        kind, where = kind_of(title)
        if kind == "loss" and where == "held out" and quantity == "test_error":
            hints.append(f"for the loss {title!r} say quantity='loss' (`--quantity loss`)")
        elif kind and where == "" and (kind == "loss") == (quantity == "loss"):
            hints.append(_say("test_error", str(title), "is of examples held out"))
    return hints[:3]


def _say(name: str, title: str, meaning: str) -> str:
    return (
        f"if {title!r} {meaning}, say so: columns={{{name!r}: {title!r}}} (`--map {name}={title}`)"
    )


def ignored(frame: pd.DataFrame, where: Mapping[str, int]) -> list[str]:
    """A note of the columns that are not read, or none."""
    places = set(where.values())
    unread = [title for at, title in enumerate(frame.columns) if at not in places]
    if not unread:
        return []
    alike = filter(None, [_suggestion(name, unread) for name in NAMES if name not in where])
    return ["; ".join([f"ignored columns: {listed_titles(unread)}", *alike])]


def _suggestion(name: str, titles: Iterable[Hashable]) -> str:
    """How to say that a column is meant which differs from ``name`` in case only; may be empty."""
    for title in titles:
        if isinstance(title, str) and title != name and title.strip().lower() == name.lower():
            return _say(name, title, f"is `{name}`")
    return ""
