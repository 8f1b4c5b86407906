import contextlib
import importlib.util
import os
import signal

# Before any of them is loaded: two workers with two teams of threads each on two processors wait
# for one another. `OMP_NUM_THREADS=2` asks for teams all the same.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import seeds
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

seeds.take_over()

# What is started in the background of a shell ignores Ctrl-C, and the tests send it.
with contextlib.suppress(ValueError):  # not the main thread
    signal.signal(signal.SIGINT, signal.default_int_handler)

# numpy may have been loaded by a plugin before.
threadpool_limits(int(os.environ["OMP_NUM_THREADS"]), user_api="blas")

# Compilation trips any deadline; the examples drawn are the same in every run.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow],
)
# `make fuzz`: other examples in every run, as many as are asked for.
settings.register_profile(
    "long",
    settings.get_profile("suite"),
    derandomize=False,
    max_examples=int(os.environ.get("EXAMPLES", "1000")),
    print_blob=True,
    database=None,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

if importlib.util.find_spec("torch") is None:
    # What reads tables and finished runs works without it, and is tested without it.
    collect_ignore_glob = [
        "test_datasets.py",
        "test_networks.py",
        "test_norms_*.py",
        "test_recording*.py",
    ]
    collect_ignore_glob += ["test_sweeps*.py", "test_commands.py", "test_deepnorm_commands.py"]


#: Files that take longest begin first, so that no worker is left alone with one: 20 to 50 s each,
#: the next ones less than 20. The first compiles no kernels, which the second needs at once.
LONGEST = (
    "test_sweeps_training.py",
    "test_figures.py",
    "test_scaling.py",
    "test_structured_certificates.py",
    "test_commands.py",
    "test_sweeps_interrupted.py",
    "test_sweeps.py",
    "test_structured_master.py",
    "test_deepnorm_commands.py",
    "test_highprecision.py",
    "test_deepnorm_fit.py",
    "test_deepnorm_report.py",
    "test_common_compiled.py",
)


def pytest_collection_modifyitems(items):
    for item in items:
        seeds.shift_examples(item)
    place = {name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(autouse=True)
def _draws(request):
    """First of all fixtures of a test, since those below may draw."""
    seeds.start(pinned=request.node.get_closest_marker("pinned") is not None)
