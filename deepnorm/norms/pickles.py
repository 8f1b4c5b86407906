"""The pickle inside a torch file, read without running anything of it.

A pickle is a program: it names functions and calls them. Here its names are looked up in a table
of a few, none of which is torch's or does more than write down what a tensor is made of; every
other name becomes a class of its own that takes whatever it is given and does nothing with it. All
that the table hands out is immutable, since a pickle may also set attributes.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any, NamedTuple

__all__ = ["Inert", "Storage", "StoredTensor", "Unpickler"]

#: Types of torch's storages, by the words before "Storage" in the names of their classes.
DTYPES = {
    "BFloat16": "bfloat16",
    "Bool": "bool",
    "Byte": "uint8",
    "Char": "int8",
    "ComplexDouble": "complex128",
    "ComplexFloat": "complex64",
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "Int": "int32",
    "Long": "int64",
    "Short": "int16",
    "Untyped": "uint8",
}
#: Names that only say how plain data is put together: their absence is not worth a word.
PLAIN = frozenset(
    [
        *(
            f"{module}.{name}"
            for module in ("builtins", "__builtin__")
            for name in (
                *("bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list"),
                *("object", "range", "set", "slice", "str", "tuple"),
            )
        ),
        *("_codecs.encode", "collections.Counter", "collections.defaultdict", "collections.deque"),
        *("copy_reg._reconstructor", "copyreg._reconstructor"),
        *("torch.Size", "torch.Tensor", "torch.device", "torch.nn.parameter.Parameter"),
        "torch.serialization._get_layout",
    ]
)


class StorageType(NamedTuple):
    """What stands for torch.FloatStorage and its like."""

    dtype: str


class Type(NamedTuple):
    """What stands for a torch.dtype."""

    name: str


class Storage(NamedTuple):
    """Numbers of one type in a row: which record, which part of it, how many bytes.

    ``start`` and ``size`` are in bytes.
    """

    key: str
    dtype: str
    start: int
    size: int


class StoredTensor(NamedTuple):
    """Where a tensor stands in a file; ``offset`` and ``stride`` count numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str


class Rebuild(NamedTuple):
    """What stands for a function of torch."""

    function: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


class Inert:
    """What stands for an object of a class that is not read; its ``name`` belongs to the class.

    Attributes
    ----------
    entries : dict
        What it holds under keys, if it was a dictionary of some kind.
    state : dict
        Its attributes, as far as the pickle has them.
    """

    __slots__ = ("entries", "state")
    name = ""
    entries: dict[Any, Any]
    state: dict[Any, Any]

    def __new__(cls, *arguments: Any, **named: Any) -> Inert:
        """Nothing is looked at."""
        self = super().__new__(cls)
        self.entries, self.state = {}, {}
        return self

    def __init__(self, *arguments: Any, **named: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None:
        self.entries[key] = value

    def __setstate__(self, state: Any) -> None:
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)  # with slots
        self.state = {}
        for part in parts:
            if isinstance(part, dict):
                self.state.update(part)

    def __call__(self, *arguments: Any) -> Inert:
        """What a method would have made is as unknown as the object."""
        return type(self)()

    def append(self, entry: Any) -> None:
        """An entry of a list of some kind, or of a set."""

    add = append


class Unpickler(pickle.Unpickler):
    """Tensors as `StoredTensor`, plain containers as they are, everything else as `Inert`.

    Parameters
    ----------
    file : binary file
    itemsize : function
        Bytes of a number, by the name of its type.

    Attributes
    ----------
    unread : dict of str to type
        Classes and functions that were named and not looked up, in the order of the file.
    dtypes : dict of str to str
        Types of the numbers in each storage, by its key.
    """

    def __init__(self, file: IO[bytes], itemsize: Callable[[str], int | None]):
        # Strings of Python 2 as torch.load reads them; what is not UTF-8 stays visible.
        super().__init__(file, encoding="utf-8", errors="surrogateescape")
        self.unread: dict[str, type[Inert]] = {}
        self.dtypes: dict[str, str] = {}
        self._itemsize = itemsize

    def load(self) -> Any:
        """The object in the file.

        Raises
        ------
        pickle.UnpicklingError
            And other errors, if it is no pickle.
        """
        try:
            return super().load()
        except MemoryError:  # numbers of the tensors are elsewhere: no pickle needs so much
            raise pickle.UnpicklingError("it asks for more memory than there is") from None

    def find_class(self, module: str, name: str) -> Any:
        """Never an import: a name of the table, or a class that does nothing."""
        if module in ("torch", "torch.storage", "torch.cuda") and name.endswith("Storage"):
            dtype = DTYPES.get(name.removesuffix("Storage"))
            if dtype is not None:
                return StorageType(dtype)
        if module == "torch" and self._itemsize(name) is not None:
            return Type(name)
        known = KNOWN.get((module, name))
        if known is not None:
            return known
        full = f"{module}.{name}"
        if full not in self.unread:
            self.unread[full] = type("Inert", (Inert,), {"__slots__": (), "name": full})
        return self.unread[full]

    def persistent_load(self, identity: Any) -> Storage | Inert:
        """A storage: ("storage", type, key, device, numbers) and, in old files, a part of it."""
        match identity:
            case ("storage", StorageType(dtype), str() | int() as key, _, int(count), *more):
                width = self._itemsize(dtype)
                assert width is not None  # one of `DTYPES`
                first = 0
                if more and more[0] is not None:
                    match more[0]:
                        case (_, int(first), int(count)):
                            pass
                        case _:
                            raise pickle.UnpicklingError("a part of a storage without its place")
                if min(first, count) < 0:
                    raise pickle.UnpicklingError("a storage of a negative size")
                self.dtypes[str(key)] = dtype
                return Storage(str(key), dtype, first * width, count * width)
            case ("storage", *_):  # of quantized numbers, which the file may hold beside others
                return Inert()
        raise pickle.UnpicklingError("a record that is no storage")

    def left(self) -> tuple[str, ...]:
        """The names of `unread` that stand for more than plain data."""
        return tuple(name for name in self.unread if name not in PLAIN)


# ------------------------------------------------------------------------------- the table


def _tensor(
    storage: Any,
    offset: Any,
    shape: Any,
    stride: Any,
    grad: Any = None,
    hooks: Any = None,
    *more: Any,
) -> StoredTensor:
    """``torch._utils._rebuild_tensor`` and its second version."""
    return _typed(storage, offset, shape, stride, getattr(storage, "dtype", None))


def _tensor_of_type(
    storage: Any, offset: Any, shape: Any, stride: Any, grad: Any, hooks: Any, dtype: Any, *_: Any
) -> StoredTensor:
    """The third version, for types without a storage of their own."""
    return _typed(storage, offset, shape, stride, getattr(dtype, "name", None))


def _typed(storage: Any, offset: Any, shape: Any, stride: Any, dtype: Any) -> StoredTensor:
    numbers = (offset, *shape, *stride)
    if not (
        isinstance(storage, Storage)
        and isinstance(dtype, str)
        and all(type(n) is int and n >= 0 for n in numbers)
        and len(shape) == len(stride)
    ):
        raise pickle.UnpicklingError("a tensor without storage, type or shape")
    return StoredTensor(storage, offset, tuple(shape), tuple(stride), dtype)


def _parameter(data: Any, *_: Any) -> Any:
    """``torch._utils._rebuild_parameter``, with state or without."""
    return data


def _of_type(rebuild: Any, _: Any, arguments: Any, *__: Any) -> Any:
    """``torch._tensor._rebuild_from_type_v2``: of a class of its own, or with attributes."""
    if not isinstance(rebuild, Rebuild):
        return Inert()
    return rebuild(*arguments)


def _set(entries: Any = ()) -> set[Any]:
    """``set``, which has an opcode in later protocols only."""
    return set(entries)


#: All names that mean something; `OrderedDict` is of C, and its attributes cannot be set.
KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("__builtin__", "set"): Rebuild(_set),
    ("builtins", "set"): Rebuild(_set),
    ("torch._utils", "_rebuild_tensor"): Rebuild(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Rebuild(_tensor),
    ("torch._utils", "_rebuild_tensor_v3"): Rebuild(_tensor_of_type),
    ("torch._utils", "_rebuild_parameter"): Rebuild(_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): Rebuild(_parameter),
    ("torch._tensor", "_rebuild_from_type_v2"): Rebuild(_of_type),
    ("torch.tensor", "_rebuild_from_type_v2"): Rebuild(_of_type),
}
