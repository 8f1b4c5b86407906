"""Other norms of a network, to be compared with the spectral complexity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from deepnorm.norms import checks
from deepnorm.norms.measure import logs, sigma_cold, weight_of
from deepnorm.norms.paths import log_path_norm
from deepnorm.norms.trace import named_tensors

__all__ = ["other_norms"]


def other_norms(
    model: nn.Module,
    input_shape: Sequence[Any] | Mapping[str, Any] | Tensor | None = None,
    *,
    example: Sequence[Any] | Mapping[str, Any] | Tensor | None = None,
) -> dict[str, float]:
    """Logarithms of norms that are simpler than eq. (2), eqs. (N10) to (N12).

    Over the matrices that eq. (2) counts, batch norms folded in; a kernel is taken as it is
    stored, not once for every position.

    Parameters
    ----------
    model, input_shape, example
        As for `spectral_complexity`.

    Returns
    -------
    dict of str to float
        ``log_frobenius``, ln sqrt(sum of squares of all weights); ``log_l1``, ln of the sum of
        their absolute values; ``log_norm_21``, ln of the sum over layers of
        ||A^T||_{2,1} (the average over the rows of the true map, as in `eq2`);
        ``log_sigma_product``, the sum of ln sigma; ``log_path_norm``, ln sqrt of the sum over
        all paths from input to output of the product of squared weights (max pooling
        sums over its window), nan where the network has attention, normalises by a
        statistic of the input or does something else that paths cannot pass, with an
        `UncountedLayerWarning` in the last case.
    """
    model, given = checks.read_model(model, input_shape, example)
    graph = checks.graph_of(model, given)
    tensors = named_tensors(model)
    squares, absolute, rows, sigmas = 0.0, 0.0, 0.0, []
    for use in graph.uses:
        if use.kind == "identity":
            continue
        weight = weight_of(use, tensors)
        squares += float(weight.square().sum())
        absolute += float(weight.abs().sum())
        rows += float(use.map.norm_21(weight)[0])
        sigmas.append(sigma_cold(use.map, weight).value)
    path, why = log_path_norm(model, given)
    if math.isinf(path) and min(sigmas) > 0:
        path, why = math.nan, "the sum over paths leaves the range of a double"
    if why and (not graph.notes or why.endswith("double")):
        checks.warn(f"`log_path_norm` is nan: {why}")
    values = [math.sqrt(squares), absolute, rows]
    names = ("log_frobenius", "log_l1", "log_norm_21")
    result = dict(zip(names, map(float, logs(values)), strict=True))
    result["log_sigma_product"] = float(logs(sigmas).sum())
    result["log_path_norm"] = path
    return result
