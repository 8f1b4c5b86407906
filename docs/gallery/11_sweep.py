"""
A sweep from start to exponents
===============================

Networks are trained over P and seeds, their records become learning curves, and these become
exponents. A small one, on the 8 x 8 digits; ``deepnorm sweep`` does larger ones, with processes,
and goes on where it was interrupted.
"""

import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor

from deepnorm.figures import curves, style
from deepnorm.sweeps import grid, read_runs, sweep
from replica.scaling import analyse, curves_from_table

runs = grid(
    "cnn-small",
    "digits",
    P=(30, 50, 85, 144, 245, 416),
    seeds=3,
    steps=600,
    learning_rate=2e-3,
    records=30,
    conventions=("bartlett",),
)
print(f"{len(runs)} runs, the first of them {runs[0].file_name}")

# %%
# Any executor can do the work. Two threads are enough here, and a folder that is thrown away.

with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
    summary = sweep(runs, folder, executor=pool, progress=False)
    again = sweep(runs, folder, executor=pool, progress=False)
    table = read_runs(folder)
print(f"finished {summary.finished}; a second sweep found {again.skipped} done")

# %%
# One table holds all records; any norm that was recorded can be the abscissa, here eq. (2) with
# sums in place of averages.

table = table[["P", "seed", "step", "log_norm_bartlett", "test_error"]]
found = analyse(curves_from_table(table, columns={"log_norm": "log_norm_bartlett"}), bootstrap=200)
for name in ("gamma_1", "gamma_2", "gamma_2_elbow", "gamma_pred", "gamma_meas"):
    estimate = getattr(found, name)
    print(f"{name:14} {estimate.value:.3f} +- {estimate.error:.3f}")

# %%
# What cannot be concluded is said. So few images and steps are there to show the way: the error
# of this network has no minimum inside, so that its elbows take the place of the optima.

for flag in found.flags:
    print(textwrap.fill(str(flag), 90, subsequent_indent="    "))

# %%
# Bands are 95% intervals of the mean of three seeds. From a shell: ``deepnorm fit FOLDER``.

with style.context():
    figure = curves.draw(found)
