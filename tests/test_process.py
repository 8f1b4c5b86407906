"""What a process sees: imports, threads, forks, the disk cache, life without compilation."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from replica import logistic_teacher_student

ROOT = Path(__file__).parents[1]
EPS = pytest.approx(0.0839803599987673392178, rel=1e-14)  # alpha = 5, lam = 4.5


def python(code, **environment):
    """Run code in a new interpreter; what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.strip()


def test_import_is_light_and_compiles_nothing():
    loaded, _ = python(
        "import sys, replica; from replica.channel import moments; "
        "print([m for m in ('torch', 'matplotlib', 'mpmath', 'rich', 'click', 'pandas') "
        "if m in sys.modules], moments.average.signatures)"
    )
    assert loaded == "[] []"


#: Prints a solution, and how often its outermost kernel was compiled for it.
COUNTED = (
    "from replica import logistic_teacher_student as f\n"
    "from replica.channel import moments\n"
    "print(f(5., 4.5).generalization_error)\n"
    "print(sum(moments.average.stats.cache_misses.values()))"
)


def test_another_process_finds_the_kernels_of_this_one():
    assert logistic_teacher_student(5.0, 4.5).generalization_error == EPS
    found, silent = python(COUNTED)
    assert [float(word) for word in found.split()] == [EPS, 0]
    assert silent == ""


@pytest.mark.slow
def test_a_second_process_finds_the_kernels_on_disk(tmp_path):
    first, said = python(COUNTED, NUMBA_CACHE_DIR=str(tmp_path))
    again, silent = python(COUNTED, NUMBA_CACHE_DIR=str(tmp_path))
    assert [float(word) for word in first.split()] == [EPS, 1]
    assert [float(word) for word in again.split()] == [EPS, 0]
    assert said.count("compiling the numerical kernels") == 1
    assert silent == ""


@pytest.mark.slow
def test_no_place_for_a_cache():
    """A read-only installation and no home: compile in memory, do not fail."""
    out, _ = python(
        "from numba.core import caching\n"
        "for kind in (caching.CompileResultCacheImpl, caching.CodeLibraryCacheImpl): "
        "kind._locator_classes = []\n"
        "import replica; print(replica.logistic_teacher_student(5., 4.5).generalization_error)"
    )
    assert float(out) == EPS


@pytest.mark.slow
def test_two_processes_compile_at_once(tmp_path):
    code = "import replica; print(replica.logistic_teacher_student(5., 4.5).generalization_error)"
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(python, code, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
        assert [float(run.result()[0]) for run in runs] == [EPS, EPS]


def test_threads_of_the_caller():
    lam = np.logspace(-2, 2, 200)
    expected = logistic_teacher_student(5.0, lam).generalization_error
    with ThreadPoolExecutor(4) as pool:
        for eps in pool.map(lambda _: logistic_teacher_student(5.0, lam), range(8)):
            np.testing.assert_array_equal(eps.generalization_error, expected)


def _one(lam):
    return logistic_teacher_student(5.0, np.full(100, lam)).generalization_error[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_processes_after_use(method):
    assert _one(4.5) == EPS
    with get_context(method).Pool(2) as pool:
        assert pool.map(_one, [4.5, 4.5]) == [_one(4.5)] * 2


def test_reference_digits_without_compilation():
    """The kernels are plain Python underneath: the same digits, three hundred times slower."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
         "tests/test_reference_digits.py", "tests/test_quadrature.py",
         "-k", "logistic_teacher_student or storage or rules or convergence or jacobian"],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
