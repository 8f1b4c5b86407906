"""What a new process waits for: imports, commands, first answers, and their memory.

Times are those of whole processes, from the call of the interpreter to its end, unless a row says
"in the process"; what is compared with ours loads what somebody would load who does the same
without us. Files are in the system's cache by then: each process runs once before the clock does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from benchmarks.table import Part, Result, Row
from benchmarks.timing import Sample, child, command, rounds, side_by_side

PART = Part("Start: new processes, to their end")

ALONE = "python -c pass"
#: Row, what ours runs, what theirs runs.
PROCESSES = [
    (Row("import replica", ALONE, short=True), "-c|import replica", "-c|pass"),
    (Row("from replica import solve", "import scipy.optimize, scipy.integrate", short=True),
     "-c|from replica import solve", "-c|import scipy.optimize, scipy.integrate"),
    (Row("from perceptron import max_stability", "from sklearn.svm import LinearSVC"),
     "-c|from perceptron import max_stability", "-c|from sklearn.svm import LinearSVC"),
    (Row("import deepnorm", ALONE), "-c|import deepnorm", "-c|pass"),
    (Row("from deepnorm import spectral_complexity", "import torch", short=True),
     "-c|from deepnorm import spectral_complexity", "-c|import torch"),
    (Row("replica --help", ALONE), "-m|replica|--help", "-c|pass"),
    (Row("deepnorm --help", ALONE), "-m|deepnorm|--help", "-c|pass"),
    (Row("replica solve --alpha 5 --lam 4.5", "plain scipy, the bare number"),
     "-m|replica|solve|--alpha|5|--lam|4.5", "-m|benchmarks.child|start|theirs"),
]  # fmt: skip
FIRST = Row("a process with one answer, kernels cached", "one of plain scipy", short=True)
FIRST_CALL = Row("  its first call, in the process", "first call of plain scipy", short=True)
MEMORY = Row("  its peak memory", "plain scipy", unit="MB", short=True)
VERY_FIRST = Row(
    "  its first call, kernels not cached: once per installation",
    "first call of plain scipy",
    short=True,
)


@PART.measures(*(row for row, _, _ in PROCESSES))
def processes(repeats: int) -> Iterator[Result]:
    child("start", "ours")  # fills the cache
    for row, ours, theirs in PROCESSES:
        functions = {
            "ours": lambda _, words=ours: command(*words.split("|")),
            "theirs": lambda _, words=theirs: command(*words.split("|")),
        }
        found = side_by_side(functions, repeats)
        yield row.measured(found["ours"], found["theirs"])


@PART.measures(FIRST, FIRST_CALL, MEMORY, VERY_FIRST)
def first_answers(repeats: int) -> Iterator[Result]:
    """logistic_teacher_student(5, 4.5)."""
    found: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
    for name in found:
        child("start", name)
    for _, name in rounds(list(found), repeats):
        found[name].append(child("start", name) or {})
    for row, key in ((FIRST, "wall"), (FIRST_CALL, "first"), (MEMORY, "peak_mb")):
        yield row.measured(*(Sample.of(run[key] for run in runs) for runs in found.values()))
    compiled, plain = [], []
    for _ in range(min(repeats, 3)):
        with tempfile.TemporaryDirectory() as empty:
            compiled.append((child("start", "ours", NUMBA_CACHE_DIR=empty) or {})["first"])
        plain.append((child("start", "theirs") or {})["first"])
    note = "an empty NUMBA_CACHE_DIR"
    yield VERY_FIRST.measured(Sample.of(compiled), Sample.of(plain), note)
