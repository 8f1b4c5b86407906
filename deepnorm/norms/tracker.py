"""`NormTracker`: the norm of a model while it trains, quickly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepnorm.norms import checks
from deepnorm.norms.measure import Warm, measure
from deepnorm.norms.trace import named_tensors
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["NormTracker"]

#: Of ln R: a choice, beside 1e-7 of `spectral_complexity`.
TOLERANCE = 1e-6
#: What a module may be told by: a stride, a slope, a name.
PLAIN = (bool, int, float, str, tuple, type(None))


class NormTracker:
    """ln R of one model under several conventions, again and again.

    The data flow is looked at once, and again where the model has become another one: other
    parameters, modules, settings or hooks (pruning, a new head); each time where a weight is
    computed from parameters. Two singular vectors of each map are kept from one measurement to
    the next.

    Parameters
    ----------
    model, input_shape, example
        As for `spectral_complexity`.
    conventions : sequence of str
        Names of `CONVENTIONS`.
    reference : str
        "paper", "zero" or "initial".
    initial : Module or state_dict, optional
        What "initial" refers to; the weights that the model has now, if left out.
    tolerance : float
        Of ln R, in parts of max(1, abs(ln R)), between 1e-12 and 0.1.

    Raises
    ------
    ValueError
        As `spectral_complexity`.
    """

    def __init__(
        self,
        model: nn.Module,
        input_shape: Sequence[Any] | Mapping[str, Any] | Tensor | None = None,
        *,
        example: Sequence[Any] | Mapping[str, Any] | Tensor | None = None,
        conventions: Sequence[str] = ("eq2",),
        reference: str = "paper",
        initial: nn.Module | Mapping[str, Tensor] | None = None,
        tolerance: float = TOLERANCE,
    ):
        self._conventions = checks.conventions_named(conventions)
        self._reference = checks.read_reference(reference)
        self._model, self._shape = checks.read_model(model, input_shape, example)
        if initial is not None and self._reference != "initial":
            raise InvalidArgument(
                "initial", "is read where `reference` is 'initial'", quoted(reference)
            )
        self._sigma = Warm(checks.read_tolerance(tolerance))
        self._look()
        checks.account(self._model, self._shape, self._graph, None, strict=False)
        self._initial: dict[str, Tensor] = {}
        if self._reference == "initial":
            weights = checks.initial_weights(
                self._model, self._graph, self._shape, self._model if initial is None else initial
            )
            labels = (use.label for use in self._graph.uses)
            # Copies: a weight in double precision may be the parameter itself.
            self._initial = {
                label: weight.clone() for label, weight in zip(labels, weights, strict=True)
            }

    def _look(self) -> None:
        """Find the data flow, and remember whose it is."""
        self._graph = checks.graph_of(self._model, self._shape)
        checks.require(self._graph, list(self._conventions.values()))
        self._known = _anatomy(self._model)

    def _look_again(self) -> None:
        """The same, where the model is not what it was."""
        known = _anatomy(self._model)
        if self._graph.fixed and _same(known, self._known):
            return
        checks.complete(self._model)
        self._look()

    def measure(self) -> dict[str, float]:
        """Ln R of the model as it is now, under each convention.

        Raises
        ------
        ValueError
            If a weight is not finite; if the model has become one that `spectral_complexity`
            refuses or, where ``reference`` is "initial", one with other matrices.
        """
        self._look_again()
        initial = None
        if self._reference == "initial":
            initial = {
                index: self._initial_of(use.label, use.map)
                for index, use in enumerate(self._graph.uses)
            }
        self._sigma.measurements += 1
        found = measure(
            self._graph,
            named_tensors(self._model),
            list(self._conventions.values()),
            self._sigma,
            reference=self._reference,
            initial=initial,
            parameters=list(self._model.parameters()),
        )
        return {name: one.log_value for name, one in found.items()}

    def _initial_of(self, label: str, linear_map: Any) -> Tensor:
        """The weight that a matrix began with."""
        weight = self._initial.get(label)
        shape = getattr(linear_map, "shape", None)
        if weight is None or (shape is not None and tuple(weight.shape) != tuple(shape)):
            raise InvalidArgument(
                "model",
                "must keep the matrices that it began with, where `reference` is 'initial'; it has "
                f"another `{label}` (make a new tracker)",
            )
        return weight

    def state_dict(self) -> dict[str, Any]:
        """What the next measurement starts from: numbers and tensors, in plain dicts."""
        return {
            "measurements": self._sigma.measurements,
            "vectors": {key: vectors.clone() for key, vectors in self._sigma.vectors.items()},
            "initial": {key: weight.clone() for key, weight in self._initial.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another tracker of the same model stopped: to the bit.

        Raises
        ------
        ValueError
            If the state is that of another model or reference.
        """
        try:
            count = int(state["measurements"])
            vectors = {str(key): torch.as_tensor(v) for key, v in state["vectors"].items()}
            initial = {str(key): torch.as_tensor(v) for key, v in state["initial"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidArgument("state", "must be a state_dict of a NormTracker") from error
        self._look_again()
        labels = {use.label for use in self._graph.uses}
        foreign = {key.split(", ")[0] for key in vectors} - labels
        if foreign or initial.keys() != self._initial.keys():
            raise InvalidArgument(
                "state",
                "must come from a tracker of the same model and reference; it has "
                f"{', '.join(sorted(foreign)) or 'other initial weights'}",
            )
        self._sigma.measurements = count
        self._sigma.vectors = {key: kept.clone() for key, kept in vectors.items()}
        self._initial = {key: weight.clone() for key, weight in initial.items()}


def _anatomy(model: nn.Module) -> list[tuple[Any, ...]]:
    """What the data flow depends on beside the numbers.

    Modules with their settings and hooks, and tensors with their shapes. The objects themselves
    are kept, lest another one take the place of one that is gone.
    """
    result: list[tuple[Any, ...]] = []
    for name, module in model.named_modules(remove_duplicate=False):
        settings = {
            key: value
            for key, value in vars(module).items()
            if isinstance(value, PLAIN) and key != "training"
        }
        hooks = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
        result.append((module, name, type(module), settings, *hooks))
    for name, tensor in named_tensors(model).items():
        result.append((tensor, name, tensor.shape, tensor.dtype, tensor.device))
    return result


def _same(one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> bool:
    """Whether two models are the same but for their numbers."""
    return len(one) == len(other) and all(
        a[0] is b[0] and len(a) == len(b) and a[1:] == b[1:]
        for a, b in zip(one, other, strict=True)
    )
