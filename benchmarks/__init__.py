"""Timings, accuracies and memory, side by side with what else there is: `python -m benchmarks`."""

#: Modules of this folder, each with a `PART`: the table in its order.
PARTS = (
    "theory",
    "start",
    "descent",
    "fixed_norm",
    "max_margin",
    "scaling",
    "norms",
    "training",
)
