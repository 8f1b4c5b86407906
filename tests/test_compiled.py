"""How kernels are compiled and kept, told by one that takes a second and not ten.

`tests/test_process.py` and the slow tests of `tests/fuzz/test_processes.py` say the same of those
of the library.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

KERNEL = """
import numpy as np
from replica.common.compiled import kernel

@kernel
def total(values):
    result = 0.0
    for value in values:
        result += value
    return result
"""
CALL = "import small, numpy as np; print(small.total(np.arange(4.0)))\n"
MISSES = "print(sum(small.total.stats.cache_misses.values()))\n"
NOWHERE = """
from numba.core import caching
for kind in (caching.CompileResultCacheImpl, caching.CodeLibraryCacheImpl):
    kind._locator_classes = []
"""


@pytest.fixture
def python(tmp_path):
    (tmp_path / "small.py").write_text(KERNEL)
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def run(code):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", **cache},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    return run


def test_two_processes_compile_at_once_and_the_next_one_need_not(python):
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(python, [CALL] * 2)) == [["6.0"]] * 2
    assert python(CALL + MISSES) == ["6.0", "0"]


def test_without_a_place_for_a_cache_it_is_compiled_in_memory(python):
    assert python(NOWHERE + CALL) == ["6.0"]
    assert python(CALL + MISSES) == ["6.0", "1"]
