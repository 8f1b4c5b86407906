"""The data flow of a model, and how much each of its matrices contributes to the whole.

A graph is a list of nodes in the order of the forward pass, each with the Lipschitz constant
of its function. From the norms of the matrices follow the gain of the network, eq. (N1), and
for each matrix the gain from its output to that of the network, eq. (N2). Everything is kept
as a logarithm: products over the layers leave the range of a double.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepnorm.norms.maps import Dense, Diagonal, LinearMap

__all__ = ["Fold", "Gains", "Graph", "Node", "Role", "Source", "Use"]

Array = NDArray[np.float64]
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Source:
    """A tensor of the forward pass, the names it is made of, and how to have it as it is now."""

    tensor: Tensor
    names: tuple[str, ...] = ()
    again: Callable[[Tensors], Tensor] | None = None

    @property
    def repeatable(self) -> bool:
        """Whether it follows the parameters that it is made of."""
        return self.again is not None

    def read(self, tensors: Tensors) -> Tensor:
        """The tensor as it is now."""
        return self.tensor if self.again is None else self.again(tensors)


@dataclass(frozen=True)
class Fold:
    """A batch norm in evaluation: x -> gain / sqrt(variance + eps) x, and a shift."""

    gain: Source | None
    variance: Source
    eps: float

    def scale(self, tensors: Tensors) -> Tensor:
        """The factor of each channel."""
        deviation = (self.variance.read(tensors).detach().double() + self.eps).sqrt()
        gain = 1.0 if self.gain is None else self.gain.read(tensors).detach().double()
        return gain / deviation

    @property
    def sources(self) -> tuple[Source, ...]:
        """The tensors it is made of."""
        return (self.variance,) if self.gain is None else (self.gain, self.variance)


@dataclass(frozen=True)
class Use:
    """A matrix that acts on data: one layer of eq. (2).

    Attributes
    ----------
    label, kind : str
        Its name in the table, and what it is.
    map : LinearMap
        Its geometry.
    source : Source or None
        The stored tensor; None stands for ones (a batch norm without a gain, an identity).
    view : callable
        From the stored tensor to the weight of the map: transposed, some rows, ...
    fold : Fold or None
        The batch norm that is multiplied into it.
    reason : str
        What the table has to say about it.
    """

    label: str
    kind: str
    map: LinearMap
    source: Source | None
    view: Callable[[Tensor], Tensor] = field(default=lambda tensor: tensor)
    fold: Fold | None = None
    reason: str = "enters eq. (2)"

    def stored(self, tensors: Tensors) -> Tensor:
        """The weight as it is stored, in its own precision."""
        if self.source is None:
            device = None if self.fold is None else self.fold.variance.tensor.device
            return torch.ones(self.map.domain, dtype=torch.float64, device=device)
        return self.view(self.source.read(tensors).detach())

    def raw(self, tensors: Tensors) -> Tensor:
        """The same in double precision."""
        return self.stored(tensors).to(torch.float64)

    def weight(self, tensors: Tensors) -> Tensor:
        """The weight of the map, with the batch norm folded in."""
        weight = self.raw(tensors)
        return weight if self.fold is None else self.map.scaled(weight, self.fold.scale(tensors))

    @property
    def sources(self) -> tuple[Source, ...]:
        """All tensors it is made of."""
        own = () if self.source is None else (self.source,)
        return own if self.fold is None else (*own, *self.fold.sources)


@dataclass
class Node:
    """A step of the forward pass.

    Attributes
    ----------
    kind : str
        "input"; "map", of one parent; "add", a sum of parents; "stack", parents side by side;
        "product", of parents that all depend on the data, as in attention.
    parents : list of int
        Nodes that it reads.
    factors : list of float
        A Lipschitz constant for each parent.
    use : int or None
        The matrix of a map.
    tag : str
        What the later steps look for: "shape", "scale", "copies", "softmax", "cut", "attention",
        "detach", "".
    rows : Tensor or None
        Of a cut: which rows of the dense matrix before it pass.
    origin : int or None
        Of a cut: that matrix's node.
    foldable : bool
        Of a batch norm: whether it acts on the output channels of the node before it.
    skips : dict
        Of a sum: for each parent that is an identity skip, its use.
    dominator : int
        Of a product: the last node that all paths to its factors pass.
    size : int
        How many numbers it holds.
    name : str
        The operator.
    local : list of float or None
        Lipschitz constants at the input of the pass, where ``factors`` are a convention; inf if
        they are not known.
    weights : list of float or None
        Of a sum: what each parent is multiplied by, with its sign, if nothing else is done to it.
    gates : tuple of int
        Of a product: the places of factors that lie in (0, 1) and count as 1.
    bounds : (float, float)
        Between which its numbers lie, whatever the input.
    unknown, note : str
        What the result has to say if the output depends on this node.
    """

    kind: str
    parents: list[int]
    factors: list[float]
    use: int | None = None
    tag: str = ""
    rows: Tensor | None = None
    origin: int | None = None
    foldable: bool = False
    skips: dict[int, int] = field(default_factory=dict)
    dominator: int = 0
    size: int = 0
    name: str = ""
    local: list[float] | None = None
    weights: list[float] | None = None
    gates: tuple[int, ...] = ()
    bounds: tuple[float, float] = (-math.inf, math.inf)
    unknown: str = ""
    note: str = ""


@dataclass(frozen=True)
class Role:
    """What became of a parameter that is not a matrix of its own."""

    name: str
    kind: str
    reason: str
    counted: bool = False
    idle: bool = False


@dataclass(frozen=True)
class Gains:
    """Logarithms of gains: of the network, from its input to each use, from there to its output."""

    total: float
    before: Array
    after: Array


@dataclass
class Graph:
    """The data flow of one model; ``output`` is the node whose value the model returns.

    ``fixed`` tells whether the same graph holds after the weights have changed: not if a weight
    is computed from parameters in place, or a parameter sets a constant (PReLU). ``lookups``
    tells of each embedding whether what it looks up depends on the input.
    """

    nodes: list[Node]
    uses: list[Use]
    output: int
    roles: list[Role]
    fixed: bool
    lookups: tuple[bool, ...] = ()

    @property
    def unknown(self) -> list[str]:
        """What could not be counted."""
        return list(dict.fromkeys(node.unknown for node in self.nodes if node.unknown))

    @property
    def notes(self) -> list[str]:
        """What is conventional."""
        return list(dict.fromkeys(node.note for node in self.nodes if node.note))

    # ---------------------------------------------------------------- once, after the pass

    def tidy(self) -> None:
        """Drop what the output does not see; split, fold, and name what is special."""
        self._prune()
        self._mark_attention()
        self._split()
        self._fold()
        self._find_skips()
        self._find_dominators()

    def consumers(self) -> list[list[int]]:
        """For each node the nodes that read it; the model's caller reads the output (-1)."""
        result: list[list[int]] = [[] for _ in self.nodes]
        for index, node in enumerate(self.nodes):
            for parent in node.parents:
                result[parent].append(index)
        result[self.output].append(-1)
        return result

    def _prune(self) -> None:
        """Keep the ancestors of the output."""
        keep = {self.output}
        for index in range(len(self.nodes) - 1, -1, -1):
            if index in keep:
                keep.update(self.nodes[index].parents)
        order = sorted(keep)
        place = {old: new for new, old in enumerate(order)}
        used = [use for i in order if (use := self.nodes[i].use) is not None]
        busy = {name for i in used for source in self.uses[i].sources for name in source.names}
        for number, unseen in enumerate(self.uses):
            if number not in used:
                for source in unseen.sources:
                    reason = "not counted: used, but the output does not depend on it"
                    self.roles.extend(
                        Role(name, unseen.kind, reason, idle=True)
                        for name in source.names
                        if name not in busy
                    )
        new_number = {old: new for new, old in enumerate(used)}
        nodes = []
        for index in order:
            node = self.nodes[index]
            node.parents = [place[parent] for parent in node.parents]
            node.use = None if node.use is None else new_number[node.use]
            node.origin = None if node.origin is None else place[node.origin]
            nodes.append(node)
        self.nodes, self.uses = nodes, [self.uses[old] for old in used]
        self.output = place[self.output]

    def _mark_attention(self) -> None:
        """Attention written out by hand counts as the built-in one does.

        That is a product of a softmax with values, where the softmax is that of a product of
        queries and keys: the softmax and the scale 1/sqrt(d) then have no factor.
        """
        readers = self.consumers()

        def climb(index: int, through: tuple[str, ...]) -> list[int]:
            passed = []
            while self.nodes[index].tag in through and len(readers[index]) == 1:
                passed.append(index)
                index = self.nodes[index].parents[0]
            return [*passed, index]

        for place, node in enumerate(self.nodes):
            if node.kind != "product":
                continue
            if node.tag == "attention":
                # Heads repeated for grouped queries are copies in one spelling, none in another.
                for operand in node.parents:
                    self._uncount(climb(operand, ("shape", "copies"))[:-1])
            for parent in node.parents:
                path = climb(parent, ("shape", "scale", "copies", "softmax"))
                scores = self.nodes[path[-1]]
                softmax = any(self.nodes[i].tag == "softmax" for i in path)
                if not softmax or scores.kind != "product":
                    continue
                for operand in scores.parents:
                    path += climb(operand, ("shape", "scale", "copies"))[:-1]
                for operand in node.parents:
                    path += climb(operand, ("shape", "copies"))[:-1]
                self._uncount([*path, place])
                node.tag = scores.tag = "attention"

    def _uncount(self, path: list[int]) -> None:
        """Let these have no factor: by convention, and not where a bound is asked for."""
        for index in path:
            node = self.nodes[index]
            if node.kind in ("map", "product") and node.use is None:
                node.local = node.local or list(node.factors)
                node.factors = [1.0] * len(node.parents)

    def _split(self) -> None:
        """A dense matrix whose output is cut into separate parts counts as these parts.

        One matrix for queries, keys and values is three matrices, as if it were stored so.
        """
        readers = self.consumers()
        for index, node in enumerate(self.nodes):
            cuts = self._cuts(index, readers) if node.use is not None else []
            rows = [self.nodes[cut].rows for cut in cuts]
            if len(cuts) < 2 or any(row is None for row in rows):
                continue
            every = torch.cat([row for row in rows if row is not None])
            if len(torch.unique(every)) < len(every):
                continue
            assert node.use is not None
            whole, numbers = self.uses[node.use], [node.use]
            numbers += range(len(self.uses), len(self.uses) + len(cuts) - 1)
            self.uses += [whole] * (len(cuts) - 1)
            for part, (cut, row, number) in enumerate(zip(cuts, rows, numbers, strict=True)):
                assert row is not None
                self.uses[number] = _rows(whole, row, part, len(cuts))
                self.nodes[cut].use = number
            node.use = None

    def _cuts(self, index: int, readers: list[list[int]]) -> list[int]:
        """The cuts of a matrix's output, none if anything else reads it."""
        found: list[int] = []
        front = list(readers[index])
        while front:
            reader = front.pop()
            if reader < 0:
                return []
            node = self.nodes[reader]
            if node.tag == "cut" and node.origin == index:
                found.append(reader)
            elif node.tag == "shape":
                front.extend(readers[reader])
            else:
                return []
        return sorted(set(found))

    def _fold(self) -> None:
        """Multiply each batch norm into the map before it, if nothing else reads that map."""
        readers = self.consumers()
        gone = set()
        for node in self.nodes:
            if not node.foldable or node.use is None:
                continue
            before = self.nodes[node.parents[0]]
            if before.use is None or len(readers[node.parents[0]]) > 1:
                continue
            norm, use = self.uses[node.use], self.uses[before.use]
            if use.fold is not None or use.map.channels != norm.map.channels:
                continue
            assert norm.fold is not None
            self.uses[before.use] = replace(use, fold=norm.fold)
            names = norm.fold.sources[0].names  # of the gain or, without one, of the variance
            reason = f"folded into {use.label}"
            self.roles.extend(Role(name, "batch norm", reason, True) for name in names)
            gone.add(node.use)
            node.use = None
        kept = [index for index in range(len(self.uses)) if index not in gone]
        number = {old: new for new, old in enumerate(kept)}
        self.uses = [self.uses[old] for old in kept]
        for node in self.nodes:
            node.use = None if node.use is None else number[node.use]

    def _find_skips(self) -> None:
        """Name the identities among the terms of a sum."""
        ancestors: list[set[int]] = []
        for node in self.nodes:
            above = set(node.parents)
            for parent in node.parents:
                above |= ancestors[parent]
            ancestors.append(above)
        count = 0
        for node in self.nodes:
            if node.kind != "add":
                continue
            for position, parent in enumerate(node.parents):
                start = parent
                while self.nodes[start].tag == "shape" and self.nodes[start].factors == [1.0]:
                    start = self.nodes[start].parents[0]
                others = node.parents[:position] + node.parents[position + 1 :]
                if node.factors[position] == 1 and any(start in ancestors[o] for o in others):
                    count += 1
                    node.skips[position] = len(self.uses)
                    self.uses.append(_skip(count, node.size))

    def _find_dominators(self) -> None:
        """For each product the last node that every path to its factors passes."""
        depth, above = [0], [0]
        for index, node in enumerate(self.nodes[1:], start=1):
            meet = node.parents[0]
            for parent in node.parents[1:]:
                meet = _meeting(meet, parent, above, depth)
            above.append(meet)
            depth.append(depth[meet] + 1)
            node.dominator = meet
            assert meet < index

    # ------------------------------------------------------------------------- each time

    def gains(self, log_sigma: Array) -> Gains:
        """Gains of the network and of its parts, from ln sigma of every use.

        A column of ``tail`` is the gain from the output of one use to each node; a product
        needs, in addition, those from its dominator.
        """
        n, uses = len(self.nodes), len(self.uses)
        probes = {
            index: uses + i
            for i, index in enumerate(
                sorted({node.dominator for node in self.nodes if node.kind == "product"})
            )
        }
        level = np.full(n, -np.inf)
        tail = np.full((n, uses + len(probes)), -np.inf)
        before = np.full(uses, -np.inf)
        for index, node in enumerate(self.nodes):
            with np.errstate(divide="ignore"):
                logs = np.log(node.factors)
            if node.kind == "input":
                level[index] = 0.0
            elif node.kind == "map":
                parent = node.parents[0]
                gain = logs[0]
                if node.use is not None:
                    before[node.use] = level[parent]
                    gain = gain + log_sigma[node.use]
                level[index] = level[parent] + gain
                tail[index] = tail[parent] + gain
                if node.use is not None:
                    tail[index, node.use] = logs[0]
            elif node.kind == "product":
                ratios = tail[node.parents, probes[node.dominator]] + logs
                for gate in node.gates:  # counts as 1; its matrices as a chain of gain 1
                    logs[gate] -= ratios[gate] if np.isfinite(ratios[gate]) else 0.0
                    ratios[gate] = 0.0
                level[index] = level[node.dominator] + ratios.sum()
                tail[index] = tail[node.dominator] + ratios.sum()
                inside = np.isneginf(tail[node.dominator])
                rest = [np.delete(ratios, k).sum() + logs[k] for k in range(len(ratios))]
                paths = tail[node.parents] + np.array(rest)[:, None]
                tail[index, inside] = np.logaddexp.reduce(paths, axis=0)[inside]
            else:
                power = 2.0 if node.kind == "stack" else 1.0
                parts = power * (level[node.parents] + logs)
                level[index] = np.logaddexp.reduce(parts) / power
                paths = power * (tail[node.parents] + logs[:, None])
                tail[index] = np.logaddexp.reduce(paths, axis=0) / power
                for position, use in node.skips.items():
                    before[use] = level[node.parents[position]]
                    tail[index, use] = 0.0
            if index in probes:
                tail[index, probes[index]] = 0.0
        return Gains(float(level[self.output]), before, tail[self.output, :uses])

    def local_gain(self, log_sigma: Array) -> float:
        """Ln of a bound of the Jacobian at the input of the pass, eq. (N17).

        No convention enters: where a factor is one, its Lipschitz constant at this input stands.
        """
        level = np.full(len(self.nodes), -np.inf)
        for index, node in enumerate(self.nodes):
            factors = node.factors if node.local is None else node.local
            with np.errstate(divide="ignore"):
                logs = np.log(factors)
            if node.kind == "input":
                level[index] = 0.0
                continue
            if node.use is not None:
                logs = logs + log_sigma[node.use]
            with np.errstate(invalid="ignore"):
                parts = level[node.parents] + logs
            # zero times an unknown factor
            parts = np.where(np.isneginf(level[node.parents]) | np.isnan(parts), -np.inf, parts)
            power = 2.0 if node.kind == "stack" else 1.0
            level[index] = np.logaddexp.reduce(power * parts) / power
        return float(level[self.output])


def _meeting(a: int, b: int, above: list[int], depth: list[int]) -> int:
    """The nearest common ancestor in the tree of dominators."""
    while a != b:
        if depth[a] >= depth[b]:
            a = above[a]
        else:
            b = above[b]
    return a


def _rows(whole: Use, rows: Tensor, part: int, parts: int) -> Use:
    """Some rows of a dense use, as a use of its own."""
    assert isinstance(whole.map, Dense)
    first, last = int(rows.min()), int(rows.max()) + 1
    name = f"{first}:{last}" if last - first == len(rows) else f"part {part + 1} of {parts}"
    view = whole.view
    index = torch.sort(rows).values
    return replace(
        whole,
        label=f"{whole.label}[{name}]",
        map=Dense((len(rows), whole.map.shape[-1]), whole.map.copies),
        view=lambda tensor: view(tensor)[index.to(tensor.device)],
        reason=f"enters eq. (2) as a matrix of its own: rows {name} of {whole.label}",
    )


def _skip(count: int, size: int) -> Use:
    """The identity of a residual layer."""
    return Use(f"identity skip {count}", "identity", Diagonal(1, size), None)
