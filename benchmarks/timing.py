"""Samples of a measurement, taken side by side, in this process or in new ones."""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Sample:
    """Repeated measurements of one thing."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> Sample:
        return cls(tuple(values))

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def times(self, factor: float) -> Sample:
        return Sample.of(factor * value for value in self.values)

    def over(self, other: Sample) -> Sample:
        """Ratio of measurements taken in pairs, one after the other."""
        return Sample.of(a / b for a, b in zip(self.values, other.values, strict=True))

    def record(self) -> dict[str, Any]:
        return {
            "median": self.median,
            "min": self.low,
            "max": self.high,
            "values": list(self.values),
        }


def seconds(function: Callable[..., Any], *arguments: Any, calls: int = 1) -> float:
    """Wall time of one call, averaged over a few; the garbage collector waits, as in `timeit`."""
    gc.collect()
    gc.disable()
    try:
        begin = time.perf_counter()
        for _ in range(calls):
            function(*arguments)
        return (time.perf_counter() - begin) / calls
    finally:
        gc.enable()


def rounds(names: Sequence[str], repeats: int) -> Iterator[tuple[int, str]]:
    """Whose turn it is: each once a round, every second round backwards."""
    for turn in range(repeats):
        for name in names if turn % 2 == 0 else reversed(names):
            yield turn, name


def side_by_side(
    functions: Mapping[str, Callable[[int], Any]],
    repeats: int,
    *,
    calls: Mapping[str, int] | None = None,
    warm: bool = True,
) -> dict[str, Sample]:
    """Seconds a call of each function, which is given the number of the round.

    One untimed call of each comes first, unless `warm` is false: where each takes seconds and
    everything is loaded and compiled already.
    """
    if warm:
        for function in functions.values():
            function(0)
    found: dict[str, list[float]] = {name: [] for name in functions}
    for turn, name in rounds(list(functions), repeats):
        number = (calls or {}).get(name, 1)
        found[name].append(seconds(functions[name], turn, calls=number))
    return {name: Sample.of(values) for name, values in found.items()}


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """BLAS, OpenMP and, where it is loaded, torch with so many threads; None for all cores."""
    if number is None:
        yield
        return
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    with threadpool_limits(number):
        if torch:
            torch.set_num_threads(number)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


def child(*arguments: str, timeout: float = 600.0, **environment: str) -> dict[str, Any] | None:
    """Run `benchmarks.child` in a new process: its JSON and the wall time; None if too slow."""
    begin = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.child", *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        raise RuntimeError(f"`{' '.join(arguments)}` failed:\n{done.stderr}")
    return {**json.loads(done.stdout), "wall": time.perf_counter() - begin}


def command(*arguments: str) -> None:
    """Run this interpreter in a new process, to the end."""
    subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=True)
