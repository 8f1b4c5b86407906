"""One random stream for each purpose, from the seed of a run and its P."""

from __future__ import annotations

import hashlib

__all__ = ["stream"]


def stream(purpose: str, seed: int, P: int, count: int = 0) -> int:
    """A seed of 63 bits for one purpose of a run.

    Streams of different purposes, seeds, P or counts have nothing to do with one another, as far
    as SHA-256 is concerned. Neither the network nor the optimizer enters: runs that differ in
    those see the same subset in the same order, and may be compared in pairs.
    """
    text = f"{purpose}/{seed}/{P}/{count}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
