"""`curves_from_table`: from a table to learning curves, every check in its turn."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from replica.common import arguments
from replica.common.arguments import InvalidArgument
from replica.scaling.curves import checks, joining, values
from replica.scaling.curves.cells import Column
from replica.scaling.curves.columns import find, ignored, is_accuracy, with_levels
from replica.scaling.curves.record import Curves
from replica.scaling.curves.rows import Log, Rows
from replica.scaling.curves.words import marks, of

__all__ = ["curves_from_table", "curves_of"]

#: What may stand in the column of the error.
QUANTITIES = ("test_error", "loss")


def curves_from_table(
    table: Any,
    *,
    columns: Mapping[str, Hashable] | None = None,
    percent: bool = False,
    accuracy: bool | None = None,
    quantity: str = "test_error",
    drop_missing: bool = False,
) -> Curves:
    """Learning curves from a table, checked.

    Parameters
    ----------
    table : DataFrame, mapping of columns, or whatever ``pandas.DataFrame`` accepts
        One row for each record. `P` (positive) and `test_error` are required, and `norm`
        (positive) or `log_norm` (natural) for all that rests on the norm; `seed` (integers or
        names), `step` or `epoch`, `train_error` and `loss` are optional. Names are
        case-sensitive; other columns are ignored, and noted. Where both are given, `step`
        decides the order and `epoch` is carried along; where neither is, the rows of a curve are
        taken in their order. Without `test_error`, one column whose name says error or accuracy
        of examples held out (``val_acc``, ``test/error``) is read, and noted.
    columns : mapping, optional
        From the names above to those of the table, as in ``{"norm": "spectral_norm"}``.
    percent : bool
        The errors, or accuracies, are in percent.
    accuracy : bool, optional
        The columns of errors hold accuracies: error = 1 - accuracy. If left out, the column's
        name decides, and a column of errors that rises as accuracies do is refused.
    quantity : str
        "test_error", in [0, 1], or "loss": the column `test_error`, or the one named like
        ``val_loss``, holds any numbers that are not negative.
    drop_missing : bool
        Leave out rows with gaps, and note how many.

    Returns
    -------
    Curves
        Rows of equal P, seed and step are joined where one has what the other lacks. A first
        record at norm 0 (a head that starts at zero) is left out, and noted. Without a norm
        `abscissa` is "step" and `log_norm` ln(step) or ln(epoch); without these too, and with one
        record for each P and seed, it is "none".

    Raises
    ------
    ValueError
        If a column is missing or given twice; if a value is missing, no number or out of range;
        if records are repeated, or two parts of one contradict each other; if a curve has a
        single record; if every test error is the same; if errors rise as accuracies do; if the
        norm of a curve falls so often that fewer than half of its records exceed all before
        them. Messages name the column and the row; rows count from 1, which is the first row of
        data, whatever the index.
    """
    frame = _frame(table)
    return curves_of(
        Log(frame, Rows.counted(len(frame))),
        columns=columns,
        percent=percent,
        accuracy=accuracy,
        quantity=quantity,
        drop_missing=drop_missing,
    )


def curves_of(
    log: Log,
    *,
    columns: Mapping[str, Hashable] | None,
    percent: bool,
    accuracy: bool | None,
    quantity: str,
    drop_missing: bool,
) -> Curves:
    """Learning curves from a table on its way in; arguments as of `curves_from_table`."""
    arguments.word("quantity", quantity, QUANTITIES)
    if accuracy and quantity == "loss":
        raise InvalidArgument("accuracy", "must not be set where `quantity` is 'loss'")
    if len(log.frame) == 0:
        raise InvalidArgument("table", "has no rows: there is nothing to fit")
    notes = list(log.notes)
    mapping = {} if columns is None else columns
    cells, rows, named = _cells(log, mapping, accuracy, quantity, drop_missing, notes)
    meaning = values.Meaning(bool(percent), named or bool(accuracy), quantity)
    records = values.read(cells, rows, meaning, notes)
    abscissa = _abscissa(records, notes, "loss" if quantity == "loss" else "error")
    records = joining.begin_above_zero(records, notes)
    if abscissa != "none":
        checks.refuse_repeats(records)
    checks.refuse_constant(records)
    order, curve = records.sorted()
    if abscissa == "none":
        _refuse_several(records, order, curve)
    else:
        checks.refuse_single_records(records, order, curve)
    if records.clock is None and abscissa == "norm":
        order = checks.turned(order, records.log_norm[order], curve, notes)
    used, dip = checks.climbing(records.log_norm[order], curve)
    if abscissa == "norm":
        checks.refuse_falling(records, order, curve, used)
    if quantity == "test_error" and accuracy is None and not named:
        label = records.cells["test_error"].label
        checks.refuse_accuracies(records.values["test_error"][order], curve, label)
    if not used.all():
        notes.append(
            f"{of(int(np.sum(~used)), len(used), 'record')} (in "
            f"{of(len(np.unique(curve[~used])), int(curve[-1]) + 1, 'curve')}) do not exceed the "
            "largest norm before them and are left out where the error is read as a function of "
            f"the norm; the deepest dip is {dip.max():.3g} in ln(norm)"
        )
    averaged = checks.judge_seeds(records, order[marks(curve)], notes)
    canonical = {name: column[order] for name, column in records.columns().items()}
    table = pd.DataFrame(canonical | {"used": used})
    return Curves(table, averaged, tuple(notes), quantity, abscissa)


def _cells(
    log: Log,
    mapping: Mapping[str, Hashable],
    accuracy: bool | None,
    quantity: str,
    drop_missing: bool,
    notes: list[str],
) -> tuple[joining.Cells, Rows, bool]:
    """The columns that are read, without gaps; whether the name of the error says accuracy."""
    found = find(log.frame, mapping, quantity)
    notes += [*found.notes, *ignored(log.frame, found.where)]
    cells = {name: Column.at(log.frame, name, at, log.rows) for name, at in found.where.items()}
    title = cells["test_error"].cells.name
    named = accuracy is None and quantity == "test_error" and is_accuracy(title)
    if named:
        notes.append(
            f"{title!r} is read as the accuracy on examples held out, by its name: the error is 1 "
            "less it; if it holds errors, pass `accuracy=False` (`--no-accuracy`)"
        )
        if "train_error" in cells and not is_accuracy(cells["train_error"].cells.name):
            notes.append("`train_error` is not read beside accuracies: map both, or neither")
            del cells["train_error"]
    cells, rows = joining.join(cells, log.rows, notes)
    cells, rows = joining.leave_out(
        cells, rows, holes=log.holes, drop=bool(drop_missing), notes=notes
    )
    return cells, rows, named


def _abscissa(records: checks.Records, notes: list[str], word: str) -> str:
    """What `log_norm` holds, and a note of what is lost where it is no norm."""
    if not {"norm", "log_norm"}.isdisjoint(records.cells):
        return "norm"
    with_norm = (
        "with the norm at each record (`deepnorm.recording.CurveRecorder` logs it) the optimum, "
        "gamma_1 and gamma_2 could be had"
    )
    if records.clock is None:
        notes.append(
            f"there is no norm and no `step`: a single record for each P and seed; {with_norm}"
        )
        return "none"
    notes.append(
        f"there is no norm: the {word} is followed along `{records.clock}`; {with_norm}; if some "
        "column holds it, name it, as in columns={'norm': 'spectral_norm'} (`--map norm=...`)"
    )
    return "step"


def _refuse_several(records: checks.Records, order: Any, curve: Any) -> None:
    """Refuse a table of curves that has neither a norm nor a clock."""
    count = np.bincount(curve)
    if count.max() > 1:
        first = int(np.argmax(count > 1))
        at = int(np.searchsorted(curve, first))
        one, two = int(order[at]), int(order[at + 1])
        raise ValueError(
            f"the table has no column `norm` or `log_norm` and none of `step` and `epoch`, but "
            f"{count[first]} records of {records.curve(one)}, as in "
            f"{records.rows.pair(one, two)}; name the norm or the step, as in "
            "columns={'norm': 'spectral_norm'} (`--map norm=...`)"
        )


def _frame(table: Any) -> pd.DataFrame:
    """The table as a DataFrame, with the named levels of its index among the columns."""
    if isinstance(table, str | os.PathLike):
        raise InvalidArgument("table", "must be a table", f"the path {table!r}: use `read_curves`")
    try:
        frame = pd.DataFrame(table)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(
            "table", f"must be something pandas reads as a table: {error}"
        ) from None
    return with_levels(frame)
