"""What is measured in a process of its own: `python -m benchmarks.child TASK ...`, JSON out."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import warnings
from typing import Any


def start(*, ours: bool) -> dict[str, float]:
    """Import, first call and second call."""
    begin = time.perf_counter()
    if ours:
        from replica import logistic_teacher_student as solve
    else:
        from benchmarks.plain_scipy import solve
    imported = time.perf_counter()
    solve(5.0, 4.5)
    first = time.perf_counter()
    solve(5.0, 4.5)
    second = time.perf_counter()
    return {"import": imported - begin, "first": first - imported, "second": second - first}


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def grid(cores: int, repeats: int) -> dict[str, Any]:
    """The plane of alpha and lam, 100 x 1000 points at once; microseconds a point."""
    if cores and hasattr(os, "sched_setaffinity"):
        # before numba counts them
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    import numpy as np

    import replica

    alpha, lam = np.logspace(-3, 8, 100)[:, None], np.logspace(-6, 6, 1000)
    replica.logistic_teacher_student(alpha[::20], lam[::100])
    before = peak_mb()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        solution = replica.logistic_teacher_student(alpha, lam)
        times.append(1e6 * (time.perf_counter() - begin) / solution.overlap.size)
    return {
        "us_per_point": times,
        "points": solution.overlap.size,
        "unsolved": int(np.sum(~solution.converged)),
        "largest_error_estimate": float(np.nanmax(solution.error_estimate)),
        "memory_before_mb": before,
        "memory_peak_mb": peak_mb(),
    }


def plain(alpha: float, lam: float) -> dict[str, Any]:
    """One point of the plain code, which may take for ever."""
    from benchmarks.plain_scipy import solve

    begin = time.perf_counter()
    found = solve(alpha, lam)
    value = None if found is None else found.generalization_error
    return {"generalization_error": value, "seconds": time.perf_counter() - begin}


def main(task: str, *arguments: str) -> None:
    warnings.simplefilter("ignore")  # quad tells of rounding, at tolerances this tight
    if task == "start":
        result: dict[str, Any] = start(ours=arguments[0] == "ours")
    elif task == "grid":
        result = grid(int(arguments[0]), int(arguments[1]))
    elif task == "plain":
        result = plain(float(arguments[0]), float(arguments[1]))
    else:
        raise SystemExit(f"no task {task!r}")
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
