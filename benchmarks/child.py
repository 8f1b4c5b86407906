"""What is measured in a process of its own: `python -m benchmarks.child TASK ...`, JSON out."""

from __future__ import annotations

import json
import math
import os
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any


def peak_mb() -> float:
    """Largest resident memory of this process so far.

    Linux's `ru_maxrss` would count the parent before the child began to be itself.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return 1024e-6 * int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def start(whose: str) -> dict[str, float]:
    """Import and first call."""
    begin = time.perf_counter()
    if whose == "ours":
        from replica import logistic_teacher_student as solve
    else:
        from benchmarks.plain_scipy import solve
    imported = time.perf_counter()
    solve(5.0, 4.5)
    first = time.perf_counter()
    return {"import": imported - begin, "first": first - imported, "peak_mb": peak_mb()}


def grid(cores: int, repeats: int) -> dict[str, Any]:
    """The plane of alpha and lam, 100 x 1000 points at once, and theirs, the easy points."""
    if cores and hasattr(os, "sched_setaffinity"):
        # before numba counts them
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    import numpy as np

    import replica
    from benchmarks import plain_scipy
    from benchmarks.timing import side_by_side

    alpha, lam = np.logspace(-3, 8, 100)[:, None], np.logspace(-6, 6, 1000)
    replica.logistic_teacher_student(alpha[::20], lam[::100])
    plain_scipy.solve(*plain_scipy.EASY[0])
    before = peak_mb()
    solution: Any = None

    def ours(_: int) -> None:
        nonlocal solution
        solution = None  # its memory is not the next one's
        solution = replica.logistic_teacher_student(alpha, lam)

    def theirs(_: int) -> None:
        for at in plain_scipy.EASY:
            plain_scipy.solve(*at)

    ours(0)
    peak = peak_mb()  # of ours alone, with the garbage collector at work
    found = side_by_side({"ours": ours, "theirs": theirs}, repeats, warm=False)
    return {
        "ours": found["ours"].times(1 / solution.overlap.size).values,
        "theirs": found["theirs"].times(1 / len(plain_scipy.EASY)).values,
        "unsolved": int(np.sum(~solution.converged)),
        "largest_error_estimate": float(np.nanmax(solution.error_estimate)),
        "memory_before_mb": before,
        "memory_peak_mb": peak,
    }


#: Number of examples and norm at which the plain code starts from Hebb's rule, or nearly.
STRUCTURED_EASY = [(100.0, 0.5), (100.0, 1.0), (500.0, 1.0), (500.0, 3.0)]


def structured(modes: int, repeats: int) -> dict[str, Any]:
    """100 x 100 points of P and lam at a = 1.5, r = 0.3; a list of so many modes, 0 for no end.

    Theirs are easy points with as many modes, one by one; a thousand where ours have no end.
    """
    import numpy as np

    import replica
    from benchmarks import plain_structured
    from benchmarks.timing import side_by_side

    P, lam = np.logspace(1, 6, 100)[:, None], np.logspace(-2, 3, 100)
    inputs: Any = replica.PowerLaw(1.5, 0.3)
    if modes:
        k = np.arange(1.0, modes + 1)
        inputs = replica.Spectrum(k**-1.5, teacher=k**-0.4)
    plain_modes = plain_structured.power_law(1.5, 0.3, modes or 1000)
    replica.logistic_teacher_student(P[::2], lam[::40], inputs=inputs)
    before = peak_mb()
    solution: Any = None

    def ours(_: int) -> None:
        nonlocal solution
        solution = None
        solution = replica.logistic_teacher_student(P, lam, inputs=inputs)

    off = []

    def theirs(_: int) -> None:
        for at in STRUCTURED_EASY:
            found = plain_structured.solve(*at, plain_modes)
            off.append(math.nan if found is None else found.generalization_error)

    ours(0)
    peak = peak_mb()
    found = side_by_side({"ours": ours, "theirs": theirs}, repeats, warm=False)
    exact = [
        replica.logistic_teacher_student(
            *at, inputs=replica.PowerLaw(1.5, 0.3, modes=modes or 1000)
        ).generalization_error
        for at in STRUCTURED_EASY
    ]
    differ = [abs(value / exact[i % len(exact)] - 1) for i, value in enumerate(off)]
    return {
        "ours": found["ours"].times(1 / solution.overlap.size).values,
        "theirs": found["theirs"].times(1 / len(STRUCTURED_EASY)).values,
        "unsolved": int(np.sum(~solution.converged)),
        "largest_error_estimate": float(np.nanmax(solution.error_estimate)),
        "largest_difference": float(np.max(differ)),
        "memory_mb": peak - before,
    }


def plain(alpha: str, lam: str) -> dict[str, Any]:
    """One point of the plain code, which may take for ever."""
    from benchmarks.plain_scipy import solve

    begin = time.perf_counter()
    found = solve(float(alpha), float(lam))
    value = None if found is None else found.generalization_error
    return {"generalization_error": value, "seconds": time.perf_counter() - begin}


def sigma(whose: str) -> dict[str, float]:
    """Memory of the largest singular value of a layer, beyond what was there before."""
    from benchmarks import norms
    from benchmarks.timing import threads

    with threads(1):
        function = {"ours": norms.sigma, "dense": norms.dense}[whose]
        function(norms.Layer(2, 2, 4))  # loads what it needs
        layer = norms.HEAVY
        before = peak_mb()
        begin = time.perf_counter()
        value = function(layer)
        took = time.perf_counter() - begin
    return {"peak_mb": peak_mb() - before, "sigma": value, "seconds": took}


def network(name: str) -> dict[str, float]:
    """Ln R of an architecture from nothing, and its memory beyond that of the weights."""
    import torch

    from benchmarks import architectures
    from benchmarks.timing import threads
    from deepnorm.norms import spectral_complexity

    make, shape = architectures.LARGE[name]
    torch.manual_seed(0)
    model = make()
    spectral_complexity(torch.nn.Linear(2, 2), (2,))  # loads what it needs
    before = peak_mb()
    with threads(1):
        begin, processor = time.perf_counter(), time.process_time()
        found = spectral_complexity(model, shape)
        took, processor = time.perf_counter() - begin, time.process_time() - processor
    return {
        "seconds": took,
        "processor": processor,
        "peak_mb": peak_mb() - before,
        "log_value": found.log_value,
        "log_error": found.log_error,
    }


TASKS = {
    "start": start,
    "grid": lambda cores, repeats: grid(int(cores), int(repeats)),
    "plain": plain,
    "structured": lambda modes, repeats: structured(int(modes), int(repeats)),
    "sigma": sigma,
    "network": network,
}


def main(task: str, *arguments: str) -> None:
    warnings.simplefilter("ignore")  # quad tells of rounding, at tolerances this tight
    json.dump(TASKS[task](*arguments), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
