"""Files of weights as training scripts leave them; nothing in them is run.

Two kinds: what ``torch.save`` writes (a zip archive, or a row of pickles as before torch 1.6), of
which `pickles` reads the tensors and plain containers, and safetensors, alone or as the shards of
an index. The weights in a file are found by what they are: a mapping of names to tensors.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import IO, Any

import torch
from torch import Tensor

from deepnorm.norms.pickles import Inert, Storage, StoredTensor, Unpickler
from replica.common.errors import InvalidArgument, quoted
from replica.common.text import cut, listed, printable

__all__ = ["Weights", "file_kind", "read_weights"]

#: The first and the second number in a file of torch.save before 1.6.
LEGACY = (0x1950A86A20F9469CFC6C, 1001)
#: Containers within containers that are looked into: a choice.
DEEPEST = 6
#: Bytes of the header of a file of safetensors, as the library's own limit.
LONGEST_HEADER = 100_000_000
#: Ends of names by which packed weights are told, what else their layer then has, whose they are.
PACKED = (
    (".qweight", ".g_idx", "GPTQ"),
    (".qweight", "", "GPTQ or AWQ"),
    (".weight.absmax", "", "bitsandbytes, 4 bits"),
    (".weight.quant_map", "", "bitsandbytes, 4 bits"),
    (".SCB", "", "bitsandbytes, 8 bits"),
    (".W_q", "", "HQQ"),
    (".weight_packed", "", "compressed-tensors"),
    ("_blocks", "_scales", "MXFP4"),
    ("_packed_params", "", "torch's quantized modules"),
)
#: Names of types whose numbers are no weights without scales.
CODES = re.compile(r"u?int|bool|float[468](_|$)")
#: Types by their names in safetensors, where they are not those of torch.
SAFETENSORS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "C64": "complex64",
}


@dataclass(frozen=True)
class Weights:
    """The weights in a file.

    Attributes
    ----------
    file : str
    tensors : mapping of str to Tensor
        On the CPU, as they are stored. Those of safetensors are read when they are asked for.
    key : str
        Where they stand in the file: keys joined by dots; empty if they are all of it.
    prefix : str or None
        The prefix of names that was asked for; None if none was.
    module : bool
        Whether they are those of a pickled module.
    left : tuple of str
        Classes and functions that the file names and that were not looked up.
    rest : tuple of str
        Keys beside the tensors that hold something else.
    """

    file: str
    tensors: Mapping[str, Tensor]
    key: str = ""
    prefix: str | None = None
    module: bool = False
    left: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen, and what was not read, in sentences."""
        notes = []
        if self.key:
            notes.append(f"weights read from the key `{self.key}`")
        if self.left:
            notes.append(f"left unread, objects of: {listed(self.left)}")
        if self.rest:
            notes.append(f"left unread beside the tensors: {listed(self.rest)}")
        return tuple(notes)


def read_weights(file: str | os.PathLike[str], key: str | None = None) -> Weights:
    """The weights in a file of torch.save or safetensors, found by what they are.

    A mapping of names to tensors, one of which has two axes at least; at the top of the file or
    under any keys, but not in the state of an optimizer. A pickled module counts as the mapping
    that its ``state_dict`` would be. No code is run: of a pickle only tensors and plain containers
    are read, and what else it names is not looked up.

    Parameters
    ----------
    file : path
        A file of ``torch.save``, of safetensors, or an index of shards
        (``model.safetensors.index.json``). Links are followed; it has to be a regular file.
    key : str, optional
        Which weights, where there are several: their keys joined by dots, and after them, if need
        be, a prefix of names ("state_dict.student").

    Returns
    -------
    Weights

    Raises
    ------
    ValueError
        If it is no such file, is damaged, holds no weights or several kinds (and ``key`` does not
        say which), is a TorchScript archive or an exported program, or its weights are packed
        into fewer bits. The message names the file.
    OSError
        If it cannot be read.
    ModuleNotFoundError
        If it is of safetensors, and the library of that name is missing.
    """
    path = os.fspath(file)
    kind = file_kind(path)
    if kind == "exported":
        raise ValueError(f"{path} is an exported program, no file of weights")
    if kind in ("safetensors", "index"):
        shards = [path] if kind == "safetensors" else _shards(path)
        tensors = _Safetensors(shards)
        _refuse_packed(path, tensors.dtypes)
        chosen, prefix = _chosen(path, {"": tensors}, key)
        return Weights(path, tensors, chosen, prefix)
    with open(path, "rb") as opened:
        with _intact(path):
            content, left, load = (_zipped if kind == "zip" else _legacy)(opened)
        found = _found(content)
        if not found:
            raise ValueError(
                f"{path} holds no mapping of names to tensors{_instead(content, left)}"
            )
        chosen, prefix = _chosen(path, found, key)
        entries = found[chosen]
        _refuse_packed(path, {name: entry.dtype for name, entry in entries.tensors.items()})
        storages: dict[Storage, Tensor] = {}
        tensors_of: dict[str, Tensor] = {}
        for name, entry in entries.tensors.items():
            with _intact(path, f"tensor `{printable(cut(name))}`: "):
                tensors_of[name] = _tensor(entry, load, storages)
    return Weights(path, tensors_of, chosen, prefix, entries.module, left, entries.rest)


def file_kind(path: str) -> str:
    """What a file is by its content: "zip", "legacy", "safetensors", "index" or "exported".

    Parameters
    ----------
    path : str

    Raises
    ------
    ValueError
        If it is none of these, or one that holds a network in a form that cannot be measured.
    OSError
        If it cannot be read.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError(f"{path} must be a regular file, not a folder, pipe or device")
    with open(path, "rb") as file:
        start = file.read(16)
    if not start:
        raise ValueError(f"{path} is empty")
    if start.startswith(b"PK\x03\x04"):
        return _archive_kind(path)
    if path.endswith(".safetensors") or (start[8:9] == b"{" and _length(start) < LONGEST_HEADER):
        return "safetensors"
    if path.endswith(".json") or start.lstrip().startswith(b"{"):
        return "index"
    if start.startswith(b"\x80"):  # a pickle of the second protocol or a later one
        return "legacy"
    if start.startswith(b"GGUF"):
        raise ValueError(f"{path} is of GGUF, whose weights are packed: they are not read")
    raise ValueError(f"{path} is neither a file of torch.save nor one of safetensors")


def _archive_kind(path: str) -> str:
    """Of a zip archive, by the names of its records."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] or name for name in archive.namelist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ValueError(
            f"{path} is a damaged zip archive, perhaps cut short: {_said(error)}"
        ) from error
    if "constants.pkl" in names:
        raise ValueError(
            f"{path} is a TorchScript archive, which hides its calls: save model.state_dict() of "
            "the Python model, or export that with torch.export"
        )
    if names & {"archive_format", "models/model.json", "serialized_exported_program.json"}:
        return "exported"
    if "data.pkl" not in names:
        raise ValueError(f"{path} is a zip archive without data.pkl: torch.save did not write it")
    return "zip"


def _said(error: Exception) -> str:
    """An error of somebody else's code, in one line."""
    return cut(printable(" ".join((str(error) or type(error).__name__).split())))


# ------------------------------------------------------------------------- what torch wrote

Load = Callable[[Storage], bytearray]
Read = tuple[Any, tuple[str, ...], Load]


def _itemsize(name: str) -> int | None:
    """Bytes of a number of a type; None if torch has no such type."""
    dtype = getattr(torch, name, None)
    return dtype.itemsize if isinstance(dtype, torch.dtype) else None


@contextlib.contextmanager
def _intact(path: str, where: str = "") -> Iterator[None]:
    """Around reading: damage of any kind is a sentence."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # an arbitrary pickle can end in any error of Python
        # A place before the beginning of the file is damage, too; other errors are the disk's.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise ValueError(f"{path} cannot be read as a torch file: {where}{_said(error)}") from error


def _zipped(file: IO[bytes]) -> Read:
    """Since torch 1.6: records of a zip archive, which are not compressed."""
    archive = zipfile.ZipFile(file)
    records = {info.filename: info for info in archive.infolist()}
    root = next(name for name in records if name.partition("/")[2] == "data.pkl")
    root = root.removesuffix("data.pkl")

    def record(name: str) -> bytes:
        info = records.get(root + name)
        if info is None:
            raise ValueError(f"record {name} is missing")
        if info.compress_type != zipfile.ZIP_STORED:  # nor could a small file fill the memory
            raise ValueError(f"record {name} is compressed, which torch.save does not do")
        return archive.read(info)

    if root + "byteorder" in records and record("byteorder") != b"little":
        raise ValueError("its numbers are big-endian")
    unpickler = Unpickler(io.BytesIO(record("data.pkl")), _itemsize)
    content = unpickler.load()
    return content, unpickler.left(), lambda storage: bytearray(record(f"data/{storage.key}"))


def _legacy(file: IO[bytes]) -> Read:
    """Before torch 1.6: five pickles, then for every storage a count and so many numbers."""
    for known in LEGACY:
        if Unpickler(file, _itemsize).load() != known:
            raise ValueError("a pickle that torch.save did not write")
    system = Unpickler(file, _itemsize).load()
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise ValueError("its numbers are big-endian")
    unpickler = Unpickler(file, _itemsize)
    content = unpickler.load()
    keys = Unpickler(file, _itemsize).load()
    first = file.tell()
    last = os.fstat(file.fileno()).st_size
    places: dict[str, tuple[int, int]] = {}
    for key in map(str, keys):
        file.seek(first)
        (count,) = struct.unpack("<q", file.read(8))
        size = count * (_itemsize(unpickler.dtypes[key]) or 0)
        first += 8 + size
        if count < 0 or first > last:
            raise ValueError("it ends within its tensors")
        places[key] = (first - size, size)

    def load(storage: Storage) -> bytearray:
        start, size = places[storage.key]
        file.seek(start)
        return bytearray(file.read(size))

    return content, unpickler.left(), load


def _tensor(entry: StoredTensor, load: Load, storages: dict[Storage, Tensor]) -> Tensor:
    """Numbers from the file, in the shape that it says."""
    storage = entry.storage
    dtype = getattr(torch, entry.dtype)
    count = 1 + sum((n - 1) * step for n, step in zip(entry.shape, entry.stride, strict=True))
    if 0 in entry.shape:
        return torch.empty(entry.shape, dtype=dtype)
    if (entry.offset + count) * dtype.itemsize > storage.size:
        raise ValueError("it is larger than its storage")
    whole = storage._replace(start=0, size=0)
    if whole not in storages:
        content = load(storage)
        if not content:  # of which torch makes no tensor
            raise ValueError("its storage is empty")
        storages[whole] = torch.frombuffer(content, dtype=torch.uint8)
    raw = storages[whole]
    if storage.start + storage.size > len(raw):
        raise ValueError(f"{len(raw)} bytes are there of {storage.start + storage.size}")
    numbers = raw[storage.start : storage.start + storage.size].view(dtype)
    return numbers.as_strided(entry.shape, entry.stride, numbers.storage_offset() + entry.offset)


# ------------------------------------------------------------------- where the weights are


@dataclass(frozen=True)
class _Entries:
    """A mapping of names to tensors, what else was in it, and whether it was a module."""

    tensors: dict[str, StoredTensor]
    rest: tuple[str, ...] = ()
    module: bool = False


def _found(content: Any) -> dict[str, _Entries]:
    """Every mapping of names to tensors, by its keys joined with dots.

    One that holds numbers and words beside tensors counts where there is none without.
    """
    return dict(_walk(content, "", DEEPEST, set(), mixed=False)) or dict(
        _walk(content, "", DEEPEST, set(), mixed=True)
    )


def _walk(
    value: Any, path: str, depth: int, seen: set[int], *, mixed: bool
) -> Iterator[tuple[str, _Entries]]:
    """Those in a value; what stands in two places is told of once."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Inert):
        if "_parameters" in value.state and "_modules" in value.state:
            tensors = dict(_of_module(value, "", set()))
            if tensors or not path:  # a loss under a key has none
                yield path, _Entries(tensors, module=True)
            return
        value = {**value.state, **value.entries}
    # What an optimizer remembers of a weight has names and tensors, too.
    if not isinstance(value, dict) or {"state", "param_groups"} <= value.keys():
        return
    tensors = {k: v for k, v in value.items() if isinstance(k, str) and isinstance(v, StoredTensor)}
    others = {k: v for k, v in value.items() if k not in tensors}
    if _are_weights(tensors) and (
        not any(isinstance(v, (Inert, StoredTensor)) for v in others.values())
        if mixed
        else all(isinstance(k, str) and k.endswith("_extra_state") for k in others)
    ):
        yield path, _Entries(tensors, tuple(map(str, others)))
        return
    for key, entry in value.items():
        if depth and isinstance(key, str):
            inner = f"{path}.{key}" if path else key
            yield from _walk(entry, inner, depth - 1, seen, mixed=mixed)


def _are_weights(tensors: Mapping[str, StoredTensor]) -> bool:
    """A matrix among them: states of random numbers, losses and the like have at most one axis."""
    return any(len(tensor.shape) > 1 for tensor in tensors.values())


def _of_module(module: Inert, prefix: str, seen: set[int]) -> Iterator[tuple[str, StoredTensor]]:
    """Parameters and buffers of a pickled module, under the names of its state_dict."""
    seen.add(id(module))
    fleeting = module.state.get("_non_persistent_buffers_set", ())
    for kind in ("_parameters", "_buffers"):
        for name, tensor in _items(module.state.get(kind)):
            if isinstance(tensor, StoredTensor) and not (kind == "_buffers" and name in fleeting):
                yield prefix + name, tensor
    for name, child in _items(module.state.get("_modules")):
        if isinstance(child, Inert) and id(child) not in seen:
            yield from _of_module(child, f"{prefix}{name}.", seen)


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """Entries of a dictionary of some kind whose keys are text."""
    mapping = value.entries if isinstance(value, Inert) else value
    if isinstance(mapping, dict):
        yield from ((k, v) for k, v in mapping.items() if isinstance(k, str))


def _chosen(
    path: str, found: Mapping[str, Mapping[str, Any] | _Entries], key: str | None
) -> tuple[str, str | None]:
    """Which mapping, and which prefix of its names."""
    if key is None:
        if len(found) == 1:
            return next(iter(found)), None
        raise InvalidArgument(
            "key", f"must say which weights of {path} are meant: {listed(found)}", "none"
        )
    if key in found and key:
        return key, None
    for outer, entries in found.items():
        if outer and not key.startswith(outer + "."):
            continue
        prefix = key[len(outer) + 1 if outer else 0 :] + "."
        names = entries.tensors if isinstance(entries, _Entries) else entries
        if any(name.startswith(prefix) for name in names):
            return outer, prefix
    raise InvalidArgument(
        "key",
        f"must be keys of weights in {path} ({listed(k or 'all of it' for k in found)}), or these "
        "and the beginning of names",
        quoted(key),
    )


def _instead(content: Any, left: tuple[str, ...]) -> str:
    """What a file without weights holds, for a message."""
    if isinstance(content, dict):
        keys = listed(f"{cut(str(k), 40)} ({_type(v)})" for k, v in content.items())
        said = f"; its keys are {keys}" if content else "; it is empty"
    else:
        said = f"; it is of type {_type(content)}"
    return said + (f"; left unread, objects of: {listed(left)}" if left else "")


def _type(value: Any) -> str:
    if isinstance(value, Inert):
        return value.name or "unknown"
    return "Tensor" if isinstance(value, StoredTensor) else type(value).__name__


def _refuse_packed(path: str, dtypes: Mapping[str, str]) -> None:
    """Weights of fewer bits, whose numbers mean something only through scales beside them."""
    for end, beside, whose in PACKED:
        for name in dtypes:
            if name.endswith(end) and (not beside or name.removesuffix(end) + beside in dtypes):
                raise _packed(path, name, f"{dtypes[name]}, {whose}")
    for name, dtype in dtypes.items():
        if name.rpartition(".")[2].endswith("weight") and CODES.match(dtype):
            raise _packed(path, name, dtype)


def _packed(path: str, name: str, how: str) -> ValueError:
    return ValueError(
        f"{path} must hold weights as numbers; `{printable(cut(name))}` is packed ({how}): unpack "
        "(dequantize) the model and save it in 16 or 32 bits"
    )


# ------------------------------------------------------------------------------ safetensors


class _Safetensors(Mapping[str, Tensor]):
    """The tensors of one file or several, each read when it is asked for."""

    def __init__(self, paths: list[str]):
        from safetensors import safe_open

        self._files: dict[str, Any] = {}
        self.dtypes: dict[str, str] = {}
        for path in paths:
            try:
                opened = safe_open(path, framework="pt")
            except OSError:
                raise
            except Exception as error:  # SafetensorError: a header that is none, a file cut short
                raise ValueError(
                    f"{path} cannot be read as a file of safetensors: {_said(error)}"
                ) from error
            for name in opened.keys():  # noqa: SIM118  # no mapping
                if name in self._files:
                    raise ValueError(f"{path} holds `{printable(cut(name))}` a second time")
                dtype = opened.get_slice(name).get_dtype()
                self._files[name] = opened
                self.dtypes[name] = SAFETENSORS.get(dtype, _lower(dtype))

    def __getitem__(self, name: str) -> Tensor:
        return self._files[name].get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _lower(dtype: str) -> str:
    """U8 as uint8, I64 as int64, F8_E4M3 as float8_e4m3, BOOL as bool."""
    words = {"U": "uint", "I": "int", "F": "float"}
    return words.get(dtype[:1], dtype[:1].lower()) + dtype[1:].lower()


def _length(start: bytes) -> int:
    """Bytes of the header."""
    return int.from_bytes(start[:8], "little")


def _shards(path: str) -> list[str]:
    """The files that an index names, which stand in its folder."""
    try:
        with open(path, "rb") as file:
            places = json.load(file)["weight_map"]
        names = sorted(set(places.values()))
        good = all(isinstance(n, str) and n == PurePath(n).name and "\0" not in n for n in names)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path} must be an index of safetensors, with names of files under "weight_map"'
        ) from error
    if not names or not good:
        raise ValueError(
            f'{path} must name files of its own folder under "weight_map"; got {listed(names)}'
        )
    shards = [os.path.join(os.path.dirname(path), name) for name in names]
    for shard in shards:
        if os.path.exists(shard) and file_kind(shard) != "safetensors":
            raise ValueError(f"{shard}, named by {path}, is no file of safetensors")
    missing = [name for name, shard in zip(names, shards, strict=True) if not os.path.exists(shard)]
    if missing:
        raise ValueError(f"{path} names files that are missing beside it: {listed(missing)}")
    return shards
