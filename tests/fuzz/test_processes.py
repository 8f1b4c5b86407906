"""What a process may meet: caches that are damaged or cannot be written, forks, threads, Ctrl-C."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from grids import slow
from patience import HANGS

import perceptron
import replica

ROOT = Path(__file__).parents[2]
EPS = pytest.approx(0.0839803599987673392178, rel=1e-14)  # alpha = 5, lam = 4.5
SOLVE = "import replica; print(replica.logistic_teacher_student(5., 4.5).generalization_error)"
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def start(code, *flags, cwd=None, drop=(), **environment):
    """A new interpreter that sees the library; the variables ``drop`` are not set in it."""
    inherited = {name: value for name, value in os.environ.items() if name not in drop}
    return subprocess.Popen(
        [sys.executable, *flags, "-c", code],
        env={**inherited, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        start_new_session=True,
    )


def finish(process, seconds=HANGS):
    """What it printed, once it is done; its whole family is ended if it hangs."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, err
    return out.strip(), err.strip()


def python(code, *flags, **options):
    return finish(start(code, *flags, **options))


def cached(folder):
    """A folder of compiled kernels, copied from those of the library if they are there."""
    _, _ = python(SOLVE, NUMBA_CACHE_DIR=str(folder))
    return folder


# -------------------------------------------------------------------------------- caches


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    return cached(tmp_path_factory.mktemp("kernels"))


def spoil(folder, kind, ending):
    """Damage every file of one ending."""
    files = sorted(folder.rglob(f"*.{ending}"))
    assert files
    for k, file in enumerate(files):
        whole = file.read_bytes()
        file.write_bytes(
            {
                "empty": b"",
                "cut": whole[: len(whole) * (k % 7) // 7],
                "noise": np.random.default_rng(k).bytes(500),
            }[kind]
        )


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("kind", ["empty", "cut", "noise"])
def test_a_damaged_cache_is_made_anew(kernels, tmp_path, kind, ending):
    folder = tmp_path / "cache"
    shutil.copytree(kernels, folder)
    spoil(folder, kind, ending)
    assert float(python(SOLVE, "-W", "error", NUMBA_CACHE_DIR=str(folder))[0]) == EPS
    out, said = python(SOLVE, NUMBA_CACHE_DIR=str(folder))
    assert float(out) == EPS
    assert said == ""  # nothing was compiled


def test_the_guard_of_the_cache(monkeypatch):
    """In this process: what cannot be read is forgotten, what cannot be written is not."""
    from replica.channel.moments import average

    cache = average._cache
    flushed = []
    monkeypatch.setattr(cache, "flush", lambda: flushed.append(True))
    monkeypatch.setattr(cache, "_load_overload", lambda *a: pickle.loads(b""))
    assert cache.load_overload(average.signatures, average.targetctx) is None
    assert flushed

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_save_overload", full)
    cache.save_overload(average.signatures, None)


@pytest.mark.parametrize("place", ["{file}", slow("{file}/below"), slow("/proc/nothing")])
def test_a_file_in_place_of_the_cache_folder(place, tmp_path):
    """As a folder that cannot be written: numba looks for another, or compiles in memory."""
    file = tmp_path / "file"
    file.write_text("")
    out, _ = python(SOLVE, "-W", "error", NUMBA_CACHE_DIR=place.format(file=file))
    assert float(out) == EPS


@pytest.mark.slow
def test_no_home_and_no_place_to_write(tmp_path):
    """An installation on a read-only disk, a user without a home: all is compiled in memory."""
    code = "import os; os.access = lambda *a, **k: False\n"
    code += "import tempfile\n"
    code += "def no(*a, **k): raise PermissionError(13, 'read-only')\n"
    code += "tempfile.TemporaryFile = no; os.makedirs = no\n" + SOLVE
    out, _ = python(code, "-B", drop=["HOME", "NUMBA_CACHE_DIR"], HOME="/nonexistent")
    assert float(out) == EPS


@pytest.mark.slow
@pytest.mark.parametrize("many", [2, 8])
def test_processes_that_compile_at_once(tmp_path, many):
    runs = [start(SOLVE, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(many)]
    assert {finish(run, 600)[0] for run in runs} == {python(SOLVE)[0]}
    out, said = python(SOLVE, NUMBA_CACHE_DIR=str(tmp_path))
    assert float(out) == EPS
    assert said == ""


@pytest.mark.slow
def test_a_process_killed_while_it_compiles(tmp_path):
    """Its half of a cache serves the next one."""
    for seconds in (1.5, 2.5, 4.0):
        process = start(SOLVE, NUMBA_CACHE_DIR=str(tmp_path))
        time.sleep(seconds)
        process.kill()
        process.communicate()
    for _ in range(2):
        out, said = python(SOLVE, NUMBA_CACHE_DIR=str(tmp_path))
        assert float(out) == EPS
    assert said == ""


@pytest.mark.parametrize(
    "flags", [("-X", "dev", "-W", "error"), slow(("-O",)), ("-OO",), slow(("-B",))]
)
@pytest.mark.parametrize("interpreted", [slow("0"), "1"])
def test_flags_of_the_interpreter(flags, interpreted):
    """-OO takes the docstrings, which nothing may need; other bytes are other kernels."""
    code = SOLVE + "\nimport perceptron as p\nprint(p.hebb_rule(p.teacher_student(10, 2.0)).norm)"
    found, _ = python(code, *flags, NUMBA_DISABLE_JIT=interpreted)
    assert float(found.split()[0]) == EPS


def test_isolated_without_home_and_elsewhere(tmp_path):
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + SOLVE
    out, _ = python(code, "-I", "-W", "error", cwd=tmp_path, drop=["HOME"])
    assert float(out) == EPS


# ------------------------------------------------------------------------ forks, threads


def _solve(lam):
    return replica.logistic_teacher_student(5.0, np.full(100, lam)).generalization_error[0]


#: Large enough for a second thread.
WIDE = perceptron.teacher_student(500, 4.0, 0)


def _fields(_):
    return float(WIDE.products.fields(WIDE.teacher).sum())


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_inherits_no_threads(monkeypatch):
    """The parent's pool has no threads in the child, where its work would wait for ever."""
    monkeypatch.setattr(WIDE.products, "threads", 2)
    expected = _fields(0)  # starts the pool
    with get_context("fork").Pool(2) as pool:
        assert pool.map_async(_fields, range(4)).get(HANGS) == [expected] * 4
    child = os.fork()
    if child == 0:
        code = 3
        try:
            code = int(_fields(0) != expected or not np.isfinite(_solve(4.5)))
        finally:
            os._exit(code)
    deadline = time.monotonic() + HANGS
    done, status = 0, 1
    while not done and time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.02)
    if not done:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert done
    assert status == 0


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_executors_of_processes(method):
    expected = _solve(4.5)
    with ProcessPoolExecutor(2, mp_context=get_context(method)) as pool:
        assert list(pool.map(_solve, [4.5] * 6, timeout=HANGS)) == [expected] * 6


def test_many_threads_at_once():
    """Of solve, of one set of examples, and of the margins."""
    lam = np.logspace(-2, 2, 150)
    expected = replica.logistic_teacher_student(5.0, lam)
    field, cdf = _fields(0), expected.margins.cdf(0.3)

    def work(k):
        if k % 3 == 0:
            found = replica.logistic_teacher_student(5.0, lam).generalization_error
            return np.array_equal(found, expected.generalization_error)
        if k % 3 == 1:
            return np.array_equal(expected.margins.cdf(0.3), cdf)
        return _fields(0) == field

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(48), timeout=HANGS))


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["workqueue", "omp", "tbb"])
def test_threads_that_compile_at_once(tmp_path, layer):
    """numba's threading layers play no part: the kernels are serial and let others run."""
    code = (
        "import numpy as np, replica, perceptron\n"
        "from concurrent.futures import ThreadPoolExecutor as T\n"
        "def f(k): return replica.logistic_teacher_student(5., np.linspace(1, 9, 99))"
        ".generalization_error.sum() + perceptron.hebb_rule(perceptron.teacher_student(30, 2.))"
        ".overlap\n"
        "with T(8) as pool: print(len(set(pool.map(f, range(24)))))"
    )
    out, _ = python(code, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_THREADING_LAYER=layer)
    assert out == "1"


# -------------------------------------------------------------------------------- Ctrl-C

READY = "print('ready', flush=True)\n"
#: Work that lasts until it is interrupted, and how it says that it was.
WORK = {
    "solve": (
        "import numpy as np, replica\nreplica.hebb(1.)\n"
        "replica.logistic_teacher_student(5., 4.5)\n" + READY + "try:\n"
        "    while True: replica.logistic_teacher_student(np.logspace(-3, 3, 20000), 4.5)\n"
        "except KeyboardInterrupt: print('heard', flush=True)\n"
        "print(replica.logistic_teacher_student(5., 4.5).converged)\n"
    ),
    "minimize_at_norm": (
        "import perceptron as p\nd = p.teacher_student(1000, 5., 0)\n"
        "p.minimize_at_norm(d, 0.5)\n" + READY + "try:\n"
        "    while True: p.minimize_at_norm(d, [1., 10., 50.])\n"
        "except KeyboardInterrupt: print('heard', flush=True)\n"
        "print(p.minimize_at_norm(d, 0.5).gradient_norm < 1e-8)\n"
    ),
    "max_stability": (
        "import perceptron as p\nd = p.teacher_student(400, 5., 0)\np.max_stability(d)\n"
        + READY + "try:\n    while True: p.max_stability(d)\n"
        "except KeyboardInterrupt: print('heard', flush=True)\n"
        "print(p.max_stability(d).duality_gap < 1e-9)\n"
    ),
    "gradient_descent": (
        "import warnings, numpy as np, perceptron as p\nd = p.teacher_student(300, 5., 0)\n"
        "p.gradient_descent(d, 10)\n" + READY +
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always')\n"
        "    part = p.gradient_descent(d, 10**9, 0.01)\n"
        "print('heard', flush=True)\n"
        "assert not part.complete and 'pass the result as `resume`' in str(said[0].message)\n"
        "n = int(part.step[-1]) + 500\n"
        "one, two = p.gradient_descent(d, n, 0.01, resume=part), p.gradient_descent(d, n, 0.01)\n"
        "print(np.array_equal(one.weights, two.weights))\n"
    ),
    "gradient_flow": (
        "import warnings, numpy as np, perceptron as p\nd = p.teacher_student(300, 5., 0)\n"
        "p.gradient_flow(d, until_time=1.)\n" + READY +
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always')\n"
        "    part = p.gradient_flow(d, until_time=1e30, tolerance=1e-7)\n"
        "print('heard', flush=True)\n"
        "assert not part.complete, part.time[-1]\n"
        "end = float(part.time[-1]) * 1.2 + 1e-3\n"
        "short = p.gradient_flow(d, until_time=end, tolerance=1e-7, resume=part)\n"
        "whole = p.gradient_flow(d, until_time=end, tolerance=1e-7)\n"
        "print(np.array_equal(short.weights, whole.weights))\n"
    ),
    "over_seeds": (
        "import time, warnings, perceptron as p\n"
        "def f(seed):\n    time.sleep(0.02)\n    return {'a': seed}\n" + READY +
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always')\n"
        "    found = p.over_seeds(f, 10000)\n"
        "print('heard', flush=True)\n"
        "print(not found.complete and len(found.values.get('a', [])) == found.n "
        "and list(found.seeds) == list(found.values.get('a', [])))\n"
    ),
    "over_seeds in processes": (
        "import time, warnings, perceptron as p\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "def f(seed):\n    time.sleep(0.02)\n    return {'a': seed}\n"
        "with ProcessPoolExecutor(2, mp_context=get_context('fork')) as pool:\n"
        "    list(pool.map(abs, range(4)))\n    print('ready', flush=True)\n"
        "    with warnings.catch_warnings(record=True) as said:\n"
        "        warnings.simplefilter('always')\n"
        "        found = p.over_seeds(f, 10000, executor=pool)\n"
        "    print('heard', flush=True)\n"
        "print(not found.complete and list(found.seeds) == list(found.values.get('a', [])))\n"
    ),
}  # fmt: skip


def interrupt(work, seconds, group=False):
    """Send Ctrl-C so long after the work, which has no end, has begun."""
    process = start(WORK[work])
    try:
        assert process.stdout.readline().strip() == "ready", process.stderr.read()
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT) if group else process.send_signal(signal.SIGINT)
        watch = threading.Timer(HANGS, os.killpg, (process.pid, signal.SIGKILL))
        watch.start()
        heard = process.stdout.readline().strip()
        with process.stdout, process.stderr:
            out, err = process.stdout.read(), process.stderr.read()
        process.wait()
        watch.cancel()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert heard == "heard", err
    assert out.strip() == "True", (out, err)
    assert process.returncode == 0, err
    time.sleep(0.1)
    with pytest.raises(ProcessLookupError):  # nobody of its family is left
        os.killpg(process.pid, 0)


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize("share", range(3))
@pytest.mark.parametrize("work", WORK)
def test_ctrl_c_is_heard_and_nothing_is_lost(work, share):
    seconds = float(np.random.default_rng([share, *work.encode()]).uniform(0, 1))
    interrupt(work, seconds, group=share == 2)


def test_ctrl_c_within_a_call():
    """In this process: the descent stops, keeps what it has, and the handler is put back."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("only the main thread hears Ctrl-C")
    data = perceptron.teacher_student(50, 2.0, 0)
    before = signal.getsignal(signal.SIGINT)
    kept = 0
    for delay in (0.02, 0.05, 0.1, 0.2, 1.0, 5.0, 25.0):
        if kept == 4:
            break
        timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            with pytest.warns(RuntimeWarning, match="was interrupted"):
                part = perceptron.gradient_descent(data, 10**9, 0.01)
        except KeyboardInterrupt:  # before the run began
            continue
        finally:
            timer.join()
        assert signal.getsignal(signal.SIGINT) is before
        assert not part.complete
        kept += 1
        steps = int(part.step[-1]) + 10
        resumed = perceptron.gradient_descent(data, steps, 0.01, resume=part)
        if steps < 10**5:
            whole = perceptron.gradient_descent(data, steps, 0.01)
            np.testing.assert_array_equal(resumed.weights, whole.weights)
    assert kept
