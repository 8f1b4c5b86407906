"""Where and with what a table was made."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from replica.common import processors

PACKAGES = ("numpy", "scipy", "numba", "scikit-learn", "torch")


def processor() -> str:
    """Its name, as it calls itself."""
    try:
        named = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        if named:
            return named[1].strip()
    except OSError:
        pass
    if platform.system() == "Darwin":
        asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.stdout.strip():
            return done.stdout.strip()
    return platform.processor() or platform.machine()


def packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def surroundings() -> dict[str, Any]:
    """Of a run about to begin; the load says how busy the machine already was."""
    return {
        "processor": processor(),
        "cores": processors.count(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        **packages(),
    }


def sentence(about: dict[str, Any]) -> str:
    """For a reader."""
    load = "" if about["load"] is None else f", load {about['load']:.1f} before the run"
    versions = ", ".join(f"{name} {about[name]}" for name in ("python", *PACKAGES))
    return f"{about['processor']}, {about['cores']} cores, {about['system']}{load}; {versions}"
