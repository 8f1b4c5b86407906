"""The cache of compiled kernels: found again, never stale, never trusted when damaged."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from grids import slow

pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled"
)
ROOT = Path(__file__).parents[1]

#: A package of kernels in several files: top calls middle, which calls bottom through a module.
SOURCES = {
    "__init__.py": "",
    "sizes.py": "FACTOR = 10.0\n",
    "bottom.py": """
from replica.common.compiled import kernel
@kernel
def bottom(x):
    return x + 1.0
""",
    "middle.py": """
from replica.common.compiled import kernel
from toy import bottom, sizes
@kernel
def middle(x):
    return bottom.bottom(x) * sizes.FACTOR
""",
    "top.py": """
from replica.common.compiled import kernel
from toy.middle import middle
@kernel(fastmath={"contract"})
def top(x):
    return middle(x)
""",
}
#: Prints a value and how many kernels the process compiled for it.
USE = (
    "from toy.top import top; from toy.middle import middle; from toy.bottom import bottom; "
    "value = top(1.0); print(value, "
    "sum(sum(k.stats.cache_misses.values()) for k in (top, middle, bottom)))"
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The package with its kernels on disk."""
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "toy").mkdir()
    for name, text in SOURCES.items():
        (folder / "toy" / name).write_text(text)
    assert use(folder) == (20.0, 3)
    return folder


@pytest.fixture
def folder(compiled, tmp_path):
    """A copy of it, in the same place as far as the cache knows."""
    shutil.copytree(compiled / "toy" / "__pycache__", tmp_path / "kept")
    sources = {name: (compiled / "toy" / name).read_text() for name in SOURCES}
    yield compiled
    shutil.rmtree(compiled / "toy" / "__pycache__")
    shutil.copytree(tmp_path / "kept", compiled / "toy" / "__pycache__")
    for name, text in sources.items():
        (compiled / "toy" / name).write_text(text)


def use(folder, code=USE, **environment):
    """What a new process gets for top(1.0), and how many kernels it compiles."""
    inherited = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", code],
        env={**inherited, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    value, compiled = done.stdout.split()
    return float(value), int(compiled)


def cached(folder, ending):
    files = sorted((folder / "toy" / "__pycache__").glob(f"*.{ending}"))
    assert len(files) == 3
    return files


def test_a_second_process_compiles_nothing(folder):
    assert use(folder) == (20.0, 0)


@pytest.mark.parametrize(
    ("file", "old", "new", "value"),
    [
        slow("top.py", "middle(x)", "middle(x) + 5.0", 25.0),
        slow("middle.py", "sizes.FACTOR", "sizes.FACTOR / 2.0", 10.0),
        ("bottom.py", "x + 1.0", "x + 2.0", 30.0),
        ("sizes.py", "10.0", "20.0", 40.0),
    ],
)
def test_an_edit_anywhere_below_is_seen(folder, file, old, new, value):
    """numba's own stamp knows the file of the outermost function alone."""
    path = folder / "toy" / file
    path.write_text(path.read_text().replace(old, new))
    assert use(folder)[0] == value
    assert use(folder) == (value, 0)


@pytest.mark.parametrize(
    "damages",
    [
        ("bit", "link", "exchanged"),
        ("pipe", "cut", "page"),
        *(slow((kind,) * 3) for kind in ("bit", "page", "cut", "exchanged", "link", "pipe")),
    ],
    ids="-".join,
)
def test_damage_is_compiled_anew_and_replaced(folder, damages):
    """One index and two files of machine code; "exchanged": whole, and another's."""
    files = [*cached(folder, "nbi")[:1], *cached(folder, "nbc")[1:]]
    contents = [file.read_bytes() for file in files]
    for number, (file, whole, damage) in enumerate(zip(files, contents, damages, strict=True)):
        bad = bytearray(whole)
        if damage == "bit":
            bad[len(bad) * (number + 1) // 4] ^= 1 << number
        elif damage == "page":
            start = len(bad) // 2
            bad[start : start + 4096] = bytes(len(bad[start : start + 4096]))
        elif damage == "cut":
            del bad[len(bad) // 2 :]
        elif damage == "exchanged":
            bad[:] = contents[number - 1]
        else:
            file.unlink()
            if damage == "pipe":
                os.mkfifo(file)
            else:
                elsewhere = folder / f"elsewhere-{number}"
                elsewhere.write_bytes(whole)
                file.symlink_to(elsewhere)
            continue
        file.write_bytes(bad)
    value, compiled = use(folder)
    assert value == 20.0
    assert compiled == 3
    assert use(folder) == (20.0, 0)
    assert all(file.is_file() and not file.is_symlink() for file in files)


def test_every_bit_is_under_the_seal(folder):
    """In this process: a file with any one byte changed is not unpickled."""
    code = """
import pickle, sys, toy.top
from pathlib import Path
from replica.common import compiled
toy.top.top(1.0)
files = toy.top.top._cache._cache_file
compiled.pickle = None  # whoever unpickles fails
seen = 0
for path in sorted(Path(toy.__file__).parent.joinpath("__pycache__").glob("top.top*.nb?")):
    whole = path.read_bytes()
    purpose = "index" if path.suffix == ".nbi" else "data"
    for place in range(0, len(whole), max(1, len(whole) // 400)):
        bad = bytearray(whole)
        bad[place] ^= 1 << place % 8
        path.write_bytes(bad)
        assert files._read(path.name, purpose) is None
        seen += 1
    path.write_bytes(whole)
print(1.0, seen)
"""
    assert use(folder, code)[1] > 500


def test_a_full_disk_costs_time_and_nothing_else(folder):
    for file in (*cached(folder, "nbi"), *cached(folder, "nbc")):
        file.unlink()
    code = (
        "import os\n"
        "def full(*a, **k): raise OSError(28, 'No space left on device')\n"
        "import replica.common.files; replica.common.files._move_into_place = full\n" + USE
    )
    assert use(folder, code) == (20.0, 3)
    assert use(folder, USE) == (20.0, 3)  # nothing had been kept


def test_without_compilation(folder):
    code = "from toy.top import top; print(top(1.0), int(hasattr(top, 'signatures')))"
    assert use(folder, code, NUMBA_DISABLE_JIT="1") == (20.0, 0)


def test_the_stamp_of_a_kernel_is_cheap():
    """A process pays it once for each kernel that it loads: 0.3 ms for the largest."""
    from replica import solve  # noqa: F401  # with all kernels of the theory
    from replica.common import compiled

    kernels = [k for k in compiled._waiting._kernels if isinstance(k._cache, compiled._Cache)]
    assert len(kernels) > 10
    begin = time.perf_counter()
    stamps = {compiled._Cache.stamp.func(kernel._cache) for kernel in kernels}
    assert len(stamps) > 1
    # a bound against an accident of complexity only: a busy machine takes some of it
    assert time.perf_counter() - begin < 0.1 * len(kernels)


def test_a_long_compilation_is_told_once(folder):
    code = """
import sys, io
from replica.common import compiled
compiled.PATIENCE_S = 0.0
sys.stderr = io.StringIO()
import time
from numba.core import event
class Slow(event.Listener):
    def on_start(self, event): time.sleep(0.5)
    def on_end(self, event): pass
event.register("numba:compile", Slow())
from toy.top import top
top(1.0); top(1)
said = sys.stderr.getvalue()
assert said.startswith("toy: compiling the numerical kernels"), said
print(1.0, said.count("compiling"))
"""
    for file in cached(folder, "nbi"):
        file.unlink()
    assert use(folder, code) == (1.0, 1)
