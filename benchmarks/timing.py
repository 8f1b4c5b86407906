"""Samples of a measurement, and child processes to take them in."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Sample:
    """Repeated measurements of one thing."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Sample:
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

    def over(self, other: Sample) -> Sample:
        """Ratio of measurements taken in pairs, one after the other."""
        return Sample.of([a / b for a, b in zip(self.values, other.values, strict=True)])

    def record(self) -> dict[str, Any]:
        return {
            "median": self.median,
            "min": self.low,
            "max": self.high,
            "values": list(self.values),
        }


def seconds(function: Callable[..., Any], *arguments: Any, calls: int = 1) -> float:
    """Wall time of one call, averaged over a few."""
    begin = time.perf_counter()
    for _ in range(calls):
        function(*arguments)
    return (time.perf_counter() - begin) / calls


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


def command(*arguments: str) -> float:
    """Wall time of a command of this interpreter in a new process."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=True)
    return time.perf_counter() - begin
