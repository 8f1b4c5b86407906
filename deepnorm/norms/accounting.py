"""Checks that no list of rules can replace: what the model does, against what the graph says.

A parameter that the graph takes for idle is changed, and the output looked at; the Jacobian is
measured, and compared with the gain. Whatever the tracer did not see shows in one of the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from deepnorm.norms.calls import tensors_in
from deepnorm.norms.graph import Array, Graph
from deepnorm.norms.trace import Example, example, inputs_in, quiet

__all__ = ["complaints", "idle_parameters", "unused_note"]

#: Power iterations on the Jacobian: one tells factors, a few more what a chain multiplies up to.
ITERATIONS = 3
#: A measured gain is one of single precision.
ROUNDING = 1e-3
#: Ln of a bound that no measurement exceeds.
LARGEST = 700.0
#: A slope of rounding errors alone, where terms cancel.
NOTHING = 1e-10
#: Rounding errors of the largest output, which differences of terms that cancel may be.
CANCELLED = 1e3
#: Seed of directions and changes.
SEED = 2
#: Names in one message.
NAMED = 4
#: Functions that look vectors up: of two spellings the outer one alone is intercepted.
LOOKUPS = (F.embedding, F.embedding_bag, torch.embedding)


def idle_parameters(model: nn.Module, graph: Graph) -> list[str]:
    """Parameters that the output does not depend on, as the graph says."""
    busy = {name for use in graph.uses for source in use.sources for name in source.names}
    busy.update(role.name for role in graph.roles if not role.idle)
    return [name for name, _ in model.named_parameters() if name not in busy]


def unseen_parameters(model: nn.Module, given: Example, graph: Graph) -> tuple[str, str]:
    """What to say of parameters that change the output though the graph has no place for them.

    All idle parameters are changed at once, and one by one where the output then differs by more
    than rounding; "" if none does. Second, what could not be looked at.
    """
    idle = idle_parameters(model, graph)
    parameters = dict(model.named_parameters())
    chosen = {name: parameters[name] for name in idle if parameters[name].is_floating_point()}
    if not chosen:
        return "", ""
    with quiet(model):
        before, again = _outputs(model, given), _outputs(model, given)
        if not _same(before, again):
            return "", (
                "whether the output depends on parameters without a part in it could not be looked "
                "at: it is another one each time"
            )
        with _changed(chosen.values()):
            if _same(before, _outputs(model, given)):
                return "", ""
        found = []
        for name, parameter in chosen.items():
            with _changed([parameter]):
                if not _same(before, _outputs(model, given)):
                    found.append(name)
            if len(found) > NAMED:
                break
    named = ", ".join(f"`{name}`" for name in found[:NAMED]) or "several of them together"
    more = ", ..." if len(found) > NAMED else ""
    return (
        f"the output depends on {named}{more}, by a way that was not seen (another thread or "
        "library)"
    ), ""


@contextmanager
def _changed(parameters: Any) -> Iterator[None]:
    """Other numbers in these, for a while; the tensors themselves stay as they were."""
    generator = torch.Generator().manual_seed(SEED)
    saved = [(parameter, parameter.data) for parameter in parameters]
    try:
        for parameter, data in saved:
            noise = torch.randn(data.shape, generator=generator).to(data.device)
            parameter.data = (data + noise * (1 + data.abs())).to(data.dtype)
        yield
    finally:
        for parameter, data in saved:
            parameter.data = data


def _outputs(model: nn.Module, given: Example) -> list[Tensor]:
    args, kwargs = example(model, given)
    return [t.detach().clone() for t in tensors_in(model(*args, **kwargs))]


def _same(first: list[Tensor], second: list[Tensor]) -> bool:
    """Equal up to rounding: terms that cancel leave its traces."""
    return len(first) == len(second) and all(
        a.shape == b.shape and _close(a, b) for a, b in zip(first, second, strict=True)
    )


def _close(first: Tensor, second: Tensor) -> bool:
    if not first.is_floating_point() or not first.numel():
        return torch.equal(first, second)
    size = float(torch.nan_to_num(first).abs().max())
    reach = CANCELLED * torch.finfo(first.dtype).eps * size
    return torch.allclose(first, second, rtol=0, atol=reach, equal_nan=True)


# ----------------------------------------------------------------------- the Jacobian


class _Lookups(TorchFunctionMode):
    """Makes what was looked up in tables the place where the Jacobian begins."""

    def __init__(self, chosen: tuple[bool, ...], shifts: list[Tensor] | None):
        super().__init__()
        self.chosen, self.shifts = chosen, shifts
        self.count = 0
        self.leaves: list[Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The vectors of an embedding as a variable."""
        out = func(*args, **(kwargs or {}))
        if func in LOOKUPS and isinstance(out, Tensor):
            place, self.count = self.count, self.count + 1
            if place < len(self.chosen) and self.chosen[place]:
                leaf = out.detach()
                if self.shifts is not None:
                    leaf = leaf + self.shifts[len(self.leaves)]
                out = leaf.requires_grad_()
                self.leaves.append(out)
        return out


class _Jacobian:
    """A model at one input: products of its Jacobian with vectors."""

    def __init__(self, model: nn.Module, given: Example, lookups: tuple[bool, ...], scale: float):
        self.model, self.lookups = model, lookups
        self.args, self.kwargs = example(model, given)
        self.starts = [t for t in inputs_in(self.args, self.kwargs) if t.is_floating_point()]
        if scale:
            generator = torch.Generator().manual_seed(SEED)
            for tensor in self.starts:
                noise = torch.randn(tensor.shape, generator=generator)
                tensor.copy_((scale * noise).to(tensor.device, tensor.dtype))

    def run(self, shifts: list[Tensor] | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """Outputs, and the variables that they depend on, the latter moved."""
        moved = [t.detach().clone() for t in self.starts]
        if shifts is not None and self.starts:
            moved = [t + shift for t, shift in zip(moved, shifts, strict=True)]
        leaves = [t.requires_grad_() for t in moved]
        swap = {id(t): leaf for t, leaf in zip(self.starts, leaves, strict=True)}

        def put(leaf: Any) -> Any:
            return swap.get(id(leaf), leaf)

        args, kwargs = tree_map(put, self.args), tree_map(put, self.kwargs)
        if self.starts:
            out = self.model(*args, **kwargs)
        else:
            with _Lookups(self.lookups, shifts) as mode:
                out = self.model(*args, **kwargs)
            leaves = mode.leaves
        return [t for t in tensors_in(out) if t.is_floating_point()], leaves

    def gain(self) -> float:
        """The largest ||J^T u|| / ||u|| of a few power iterations."""
        with torch.enable_grad():
            outputs, leaves = self.run()
            outputs = [t for t in outputs if t.requires_grad]
            if not leaves:
                raise RuntimeError("no vector was seen where the flow of numbers begins")
            if not outputs:
                return 0.0
            generator = torch.Generator().manual_seed(SEED)
            up = [torch.randn(t.shape, generator=generator).to(t.device, t.dtype) for t in outputs]
            best = 0.0
            for turn in range(ITERATIONS):
                size = _norm(up)
                if not size or not math.isfinite(size):
                    break
                last = turn + 1 == ITERATIONS
                down = torch.autograd.grad(
                    outputs,
                    leaves,
                    [t / size for t in up],
                    retain_graph=not last,
                    allow_unused=True,
                )
                steps = [
                    torch.zeros_like(leaf) if t is None else t  # type: ignore[redundant-expr]
                    for t, leaf in zip(down, leaves, strict=True)
                ]
                length = _norm(steps)
                best = max(best, length) if math.isfinite(length) else best
                if last or not length or not math.isfinite(length):
                    break
                up = self.forward(steps, length, leaves)
        return best

    def forward(self, steps: list[Tensor], length: float, leaves: list[Tensor]) -> list[Tensor]:
        """J v by a difference, which only has to point the right way."""
        reach = 1e-2 * max(_norm(leaves), 1.0) / length
        with torch.no_grad():
            ends = [
                [t.detach() for t in self.run([sign * reach * t for t in steps])[0]]
                for sign in (1.0, -1.0)
            ]
        return [a - b for a, b in zip(*ends, strict=True)]


def _norm(tensors: list[Tensor]) -> float:
    return math.sqrt(sum(float(t.detach().double().square().sum()) for t in tensors))


def larger_gain(
    model: nn.Module, given: Example, graph: Graph, log_sigma: Array
) -> tuple[str, str]:
    """What to say if the Jacobian is measured to be larger than its bound; and what was not done.

    The bound is that of eq. (N17) at the input of the pass, and at a random one too where no
    factor is a convention.
    """
    bound = graph.local_gain(log_sigma)
    if bound > LARGEST:
        return "", ""
    plain = all(node.local is None for node in graph.nodes)
    measured = 0.0
    for scale in (0.0, 3.0) if plain else (0.0,):
        try:
            with quiet(model):
                measured = max(measured, _Jacobian(model, given, graph.lookups, scale).gain())
        except Exception as error:  # of the model's, or of an operator without a derivative
            return "", f"the Jacobian could not be measured: {type(error).__name__}: {error}"
    if measured > math.exp(bound + ROUNDING) + NOTHING:
        return (
            f"the Jacobian was measured to be {measured:.6g} at an input, above its bound "
            f"{math.exp(bound):.6g}: something on the way from input to output was not seen",
            "",
        )
    return "", ""


def complaints(
    model: nn.Module, given: Example, graph: Graph, log_sigma: Array | None
) -> tuple[list[str], list[str]]:
    """Errors of the accounting, and checks that could not be made."""
    made = [unseen_parameters(model, given, graph)]
    if log_sigma is not None:
        made.append(larger_gain(model, given, graph, log_sigma))
    return [error for error, _ in made if error], [undone for _, undone in made if undone]


def unused_note(model: nn.Module, names: list[str]) -> str:
    """One line on parameters without a part in the output."""
    parameters = dict(model.named_parameters())
    count = sum(parameters[name].numel() for name in names)
    shown = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
    what = "parameter has" if len(names) == 1 else "parameters have"
    return f"{len(names)} {what} no part in the output ({count} numbers): {shown}"
