"""What a file holds: bytes within a limit, unpacked, told apart by what they begin with."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replica.common.arguments import InvalidArgument
from replica.common.text import printable
from replica.scaling.curves.columns import with_levels
from replica.scaling.logs.delimited import read_delimited

__all__ = ["Limits", "read_file"]

#: First bytes of the formats that are not text.
GZIP, PARQUET, ZIP = b"\x1f\x8b", b"PAR1", b"PK\x03\x04"
#: Bytes that are unpacked at a time.
PIECE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """How large a table may be.

    Attributes
    ----------
    gigabytes : float
        Of a file once unpacked.
    columns : int
    """

    gigabytes: float
    columns: int

    def refuse_bytes(self, path: Path, size: float) -> None:
        """Refuse a file that is larger, unpacked, than is allowed."""
        if size > self.gigabytes * 1e9:
            raise InvalidArgument(
                "max_gigabytes",
                f"must be larger for {printable(str(path))}, which holds {size / 1e9:.3g} GB or "
                "more when unpacked",
                f"{self.gigabytes:g}",
            )

    def refuse_columns(self, path: Path, count: int) -> None:
        """Refuse a table with more columns than are allowed."""
        if count > self.columns:
            raise InvalidArgument(
                "max_columns",
                f"must be at least the {count:,} columns of {printable(str(path))}",
                f"{self.columns}",
            )


def read_file(
    path: Path, limits: Limits, names: frozenset[Hashable]
) -> tuple[pd.DataFrame | Any, tuple[str, ...]]:
    """A table, or what JSON holds, and what was noticed.

    Parameters
    ----------
    path : Path
        A regular file.
    limits : Limits
    names : frozenset
        Titles of columns that hold names, which may look like numbers.
    """
    shown = printable(str(path))
    limits.refuse_bytes(path, path.stat().st_size)
    content = path.read_bytes()
    if content.startswith(GZIP):
        content = _unpacked(content, path, limits)
    if content.startswith(PARQUET) or path.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(content, path, limits), ()
    if content.startswith(ZIP):
        if path.suffix.lower() == ".npz":
            return _read_npz(content, path, limits), ()
        raise ValueError(f"{shown} is a workbook or an archive: save the table as CSV")
    if content.lstrip()[:1] in (b"{", b"["):
        found = _read_json(content, shown)
        return found, ()
    return read_delimited(content, path, names, lambda count: limits.refuse_columns(path, count))


def _unpacked(content: bytes, path: Path, limits: Limits) -> bytes:
    """What a gzip file holds, unpacked as far as the limit."""
    pieces, size = [], 0
    try:
        with gzip.open(io.BytesIO(content)) as packed:
            while piece := packed.read(PIECE):
                size += len(piece)
                limits.refuse_bytes(path, size)
                pieces.append(piece)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{printable(str(path))} cannot be read as gzip: {error}") from None
    return b"".join(pieces)


def _read_parquet(content: bytes, path: Path, limits: Limits) -> pd.DataFrame:
    """A Parquet file; runs of equal cells take no room in it, and are counted before."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise ImportError(
            f'reading {path} needs pyarrow: pip install "replica-learning[parquet]"'
        ) from None
    try:
        file = parquet.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
        limits.refuse_columns(path, file.metadata.num_columns)
        limits.refuse_bytes(path, 8.0 * file.metadata.num_rows * file.metadata.num_columns)
        return with_levels(file.read().to_pandas())
    except InvalidArgument:
        raise
    except Exception as error:  # of a broken file; damaged metadata alone raises four kinds
        raise ValueError(
            f"{printable(str(path))} cannot be read as Parquet: {printable(str(error))}"
        ) from None


def _read_npz(content: bytes, path: Path, limits: Limits) -> Mapping[str, Any]:
    """Arrays that numpy saved, without objects."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            limits.refuse_bytes(path, float(sum(i.file_size for i in arrays.zip.infolist())))
            return {name: arrays[name].tolist() for name in arrays.files}
    except InvalidArgument:
        raise
    except Exception as error:  # a broken archive raises kinds of zlib, zipfile and numpy
        raise ValueError(f"{printable(str(path))} cannot be read as arrays: {error}") from None


def _read_json(content: bytes, shown: str) -> Any:
    """JSON, or one JSON object a line."""
    try:
        text = content.decode("utf-8")
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            lines = [line for line in text.splitlines() if line.strip()]
            if len(lines) < 2:
                raise
            try:
                return [json.loads(line) for line in lines]
            except json.JSONDecodeError:
                raise error from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{shown} cannot be read as JSON: {error}") from None
