"""Norms of tensors one by one, where nothing is known of the network that they belong to."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor

from deepnorm.norms.maps import Dense
from deepnorm.norms.measure import sigma_cold

__all__ = ["tensor_norms"]

COLUMNS = (
    *("name", "dtype", "shape", "matrix", "sigma", "norm_21", "frobenius"),
    *("lower", "upper", "reason"),
)


def tensor_norms(tensors: Mapping[str, Tensor]) -> pd.DataFrame:
    """Norms of each tensor as it is stored, eq. (N19), in double precision.

    A tensor of two axes or more is taken as the matrix W whose rows are its first axis: a kernel
    (out, in, k, k) as (out, in k k).

        sigma(W),   ||W^T||_{2,1} = (1/n) sum_a ||W_a.||_2,   ||W||_F

    Parameters
    ----------
    tensors : mapping of str to Tensor
        They are asked for one after the other.

    Returns
    -------
    DataFrame
        A row for each: ``name``, ``dtype``, ``shape``; ``matrix``, the shape of W; ``sigma``,
        between ``lower`` and ``upper``; ``norm_21``; ``frobenius``. What does not apply is nan, and
        ``reason`` says why; it is empty elsewhere.
    """
    return pd.DataFrame([_row(name, tensors[name]) for name in tensors], columns=list(COLUMNS))


def _row(name: str, tensor: Tensor) -> dict[str, object]:
    """The norms of one tensor."""
    row: dict[str, object] = dict.fromkeys(COLUMNS[4:9], math.nan)
    row |= {"name": name, "dtype": str(tensor.dtype).removeprefix("torch.")}
    row |= {"shape": tuple(tensor.shape), "matrix": (), "reason": ""}
    reason = _why_not(tensor)
    if reason:
        return row | {"reason": reason}
    numbers = tensor.detach().to("cpu", torch.float64)
    if not bool(numbers.isfinite().all()):
        return row | {"reason": "not finite"}
    row["frobenius"] = float(torch.linalg.vector_norm(numbers))
    if tensor.ndim < 2:
        return row | {"reason": "a vector" if tensor.ndim else "a number"}
    matrix = numbers.flatten(1)
    sigma = sigma_cold(Dense(tuple(matrix.shape)), matrix)
    row |= {"matrix": tuple(matrix.shape), "sigma": sigma.value}
    row |= {"lower": sigma.lower, "upper": sigma.upper}
    return row | {"norm_21": float(torch.linalg.vector_norm(matrix, dim=1).mean())}


def _why_not(tensor: Tensor) -> str:
    """Why a tensor has no norms; empty if it has."""
    if tensor.is_complex():
        return "complex"
    if not tensor.is_floating_point():
        return "whole numbers"
    return "" if tensor.numel() else "empty"
