"""The numerical tests as other processors, other thread counts and other seeds would run them.

    make test-processors                        every setting that this processor can play
    make test-processors ARGS=--sample          what `.ci/run` asks for: the oldest of everything
    make test-processors ARGS="--only blas -- -k hebb"

A library picks its kernels by the processor: OpenBLAS and MKL those of a matrix product, torch
and numpy those of exp, glibc those of log, numba whether a product and a sum are fused. They
differ in the last digit, and in the order of a sum. A verdict that hangs on it says nothing
about the code. Each setting below is a processor, or part of one, and runs the same tests.
"""

import argparse
import contextlib
import dataclasses
import os
import platform
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: Tests of words, files, processes and pages: no kernel decides them. Whatever is not named here
#: is run, so that a new file of tests is.
WORDS = (
    "fuzz/test_commands.py",
    "fuzz/test_files.py",
    "fuzz/test_processes.py",
    "test_benchmarks.py",
    "test_cli.py",
    "test_commands.py",
    "test_compiled.py",
    "test_curves.py",
    "test_curves_cells.py",
    "test_curves_files.py",
    "test_curves_laws.py",
    "test_datasets.py",
    "test_deepnorm_commands.py",
    "test_deepnorm_figures.py",
    "test_deepnorm_fit.py",
    "test_deepnorm_quantities.py",
    "test_deepnorm_report.py",
    "test_deepnorm_words.py",
    "test_docs.py",
    "test_door.py",
    "test_evidence.py",
    "test_process.py",
    "test_readme.py",
    "test_sweeps.py",
    "test_sweeps_claims.py",
    "test_sweeps_configuration.py",
    "test_sweeps_files.py",
    "test_sweeps_interrupted.py",
)

#: Left out of the sample, which takes a law where it is stated first. Drawn inputs and drawings
#: repeat of ensembles and of odd arguments what laws say of one solution; certificates and sums
#: are made of mpmath's integers, that are the same on every processor.
LONG = (
    "fuzz",
    "test_agreement.py",
    "test_collapse.py",
    "test_common_compiled.py",
    "test_common_text.py",
    "test_exponents.py",
    "test_figures.py",
    "test_highprecision.py",
    "test_inputs.py",
    "test_pairs.py",
    "test_soak.py",
    "test_structured_certificates.py",
)

#: Kernels of numba for no processor in particular are kept apart from those for this one, and go
#: with `make clean`.
GENERIC = {
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CACHE_DIR": str(ROOT / ".pytest_cache" / "numba-generic"),
}


#: Two threads that sleep while they wait: those that spin take the processor from one another.
TEAM = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}


@dataclasses.dataclass(frozen=True)
class Setting:
    """A processor, or part of one, as the environment of the tests."""

    name: str
    environment: dict[str, str]
    #: A feature of the processor without which the setting says nothing (`/proc/cpuinfo`).
    needs: str = ""
    sample: bool = False


def seeded(seed: int) -> Setting:
    return Setting(f"seed {seed}", {"TEST_SEED": str(seed)})


def settings() -> list[Setting]:
    simd = numpy_features()
    old = {"NPY_DISABLE_CPU_FEATURES": ",".join(simd)} if simd else {}
    middle = [name for name in simd if name != "X86_V3"]
    newer = {"NPY_DISABLE_CPU_FEATURES": ",".join(middle)} if middle else {}
    # No fused product and sum in the mathematical library, as before 2013.
    libm = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX"}
    return [
        Setting("as this processor is", {}),
        Setting("torch: no vectors", {"ATEN_CPU_CAPABILITY": "default"}),
        Setting("torch: AVX2", {"ATEN_CPU_CAPABILITY": "avx2"}, needs="avx2"),
        Setting("torch: AVX-512", {"ATEN_CPU_CAPABILITY": "avx512"}, needs="avx512f"),
        Setting("torch: MKL of any processor", {"MKL_CBWR": "COMPATIBLE"}),
        Setting("numba: any processor", GENERIC),
        Setting("blas: Nehalem", {"OPENBLAS_CORETYPE": "Nehalem"}),
        Setting("blas: Haswell", {"OPENBLAS_CORETYPE": "Haswell"}, needs="avx2"),
        Setting("blas: SkylakeX", {"OPENBLAS_CORETYPE": "SkylakeX"}, needs="avx512f"),
        Setting("numpy and glibc: 2008", old | libm),
        Setting("threads: 1", {"OMP_NUM_THREADS": "1"}),
        Setting("threads: 2", TEAM),
        *map(seeded, range(1, 6)),
        # All at once: the two ends, and what most machines are.
        Setting(
            "all of 2008, seed 6",
            {
                "ATEN_CPU_CAPABILITY": "default",
                "MKL_CBWR": "COMPATIBLE",
                "ONEDNN_MAX_CPU_ISA": "SSE41",
                "OPENBLAS_CORETYPE": "Nehalem",
                "TEST_SEED": "6",
            }
            | GENERIC
            | old
            | libm,
            sample=True,
        ),
        Setting(
            "all of 2013, two threads, seed 7",
            {
                "ATEN_CPU_CAPABILITY": "avx2",
                "MKL_CBWR": "AVX2",
                "ONEDNN_MAX_CPU_ISA": "AVX2",
                "OPENBLAS_CORETYPE": "Haswell",
                "TEST_SEED": "7",
            }
            | TEAM
            | newer,
            needs="avx2",
        ),
    ]


def numpy_features() -> list[str]:
    """What numpy uses of this processor beyond what it was built to need."""
    import numpy as np

    return list(np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", []))


def features() -> str:
    """What the processor says it can do; nothing where nobody says."""
    with contextlib.suppress(OSError):
        return Path("/proc/cpuinfo").read_text()
    return ""


@dataclasses.dataclass(frozen=True)
class Outcome:
    passed: int
    failed: list[str]
    seconds: float
    cpu: float


def run(setting: Setting, workers: str, without: tuple[str, ...], arguments: list[str]) -> Outcome:
    """The numerical tests in a process of their own: kernels are picked at the first import."""
    before, start = os.times(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        line = [sys.executable, "-m", "pytest", "-q", "-n", workers, "--dist", "loadfile"]
        line += ["--no-loadscope-reorder", f"--junitxml={report}"]
        line += [f"--ignore={ROOT / 'tests' / name}" for name in without]
        done = subprocess.run(
            [*line, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **setting.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        after = os.times()
        passed, failed = read(report)
    if done.returncode and not failed:  # it did not come as far as the tests
        failed = [done.stdout.strip() or f"pytest ended with {done.returncode}"]
    cpu = sum(after[2:4]) - sum(before[2:4])
    return Outcome(passed, failed, time.perf_counter() - start, cpu)


def read(report: Path) -> tuple[int, list[str]]:
    """How many tests passed, and those that did not, each with the line that says why."""
    if not report.exists():
        return 0, []
    passed, failed = 0, []
    for case in ElementTree.parse(report).iter("testcase"):
        if (trouble := case.find("failure")) is None:
            trouble = case.find("error")
        if trouble is not None:
            reason = (trouble.get("message") or "").split("\n")[0]
            failed.append(f"{case.get('classname')}::{case.get('name')}  {reason}")
        elif case.find("skipped") is None:
            passed += 1
    return passed, failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sample", action="store_true", help="the settings that CI runs")
    parser.add_argument("--only", default="", help="settings with this in their names")
    parser.add_argument("--workers", default=os.environ.get("WORKERS", "2"))
    parser.add_argument("pytest", nargs="*", help="after --: arguments for pytest")
    given = parser.parse_args()
    known, chosen = features(), []
    for setting in settings():
        if given.only not in setting.name or (given.sample and not setting.sample):
            continue
        if setting.needs and known and setting.needs not in known:
            print(f"{setting.name}: left out, this processor has no {setting.needs}")
        else:
            chosen.append(setting)
    if not chosen:
        parser.error(f"no setting has {given.only!r} in its name")
    print(f"{platform.processor() or platform.machine()}, {len(chosen)} settings")
    row = "{:<34} {:>7} {:>7} {:>8} {:>9}"
    print(row.format("setting", "passed", "failed", "wall s", "CPU s"), flush=True)
    bad = 0
    for setting in chosen:
        without = WORDS + LONG if given.sample else WORDS
        found = run(setting, given.workers, without, given.pytest)
        numbers = f"{found.seconds:.0f}", f"{found.cpu:.0f}"
        print(row.format(setting.name, found.passed, len(found.failed), *numbers), flush=True)
        for text in found.failed:
            print("    " + text.replace("\n", "\n    "), flush=True)
        bad += bool(found.failed)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
