"""Parts by name, measured in processes of their own."""

from __future__ import annotations

import importlib
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from benchmarks.table import Part, Result
from benchmarks.timing import threads


def load(name: str) -> Part:
    return importlib.import_module(f"benchmarks.{name}").PART


def measure(name: str, repeats: int) -> list[Result]:
    """All rows of a part, in the process that calls."""
    part = load(name)
    with threads(part.threads):
        return list(part.results(repeats))


def measure_apart(name: str, repeats: int) -> list[Result]:
    """In a process of its own: no part sees the threads, caches and memory of another."""
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(measure, name, repeats).result()
    except BrokenProcessPool:
        return [Result(row, failure="the process died") for row in load(name).rows]
