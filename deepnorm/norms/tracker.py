"""`NormTracker`: the norm of a model while it trains, quickly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepnorm.norms import checks
from deepnorm.norms.conventions import MatrixConvention, OperatorConvention
from deepnorm.norms.maps import Dense
from deepnorm.norms.measure import logs, norm_21, sigma_warm
from deepnorm.norms.trace import named_tensors, trace
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["NormTracker"]


class NormTracker:
    """ln R of one model under several conventions, again and again.

    The data flow is looked at once (again each time where a weight is computed from parameters);
    singular vectors are kept from one measurement to the next. The result is that of
    `spectral_complexity` to about 1e-5, and mostly to 1e-8: where two singular values have
    crossed, the one that has been overtaken may be kept for a while.

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
    ):
        self._conventions = checks.conventions_named(conventions)
        self._reference = checks.read_reference(reference)
        self._model, self._shape = checks.read_model(model, input_shape, example)
        if initial is not None and self._reference != "initial":
            raise InvalidArgument(
                "initial", "is read where `reference` is 'initial'", quoted(reference)
            )
        self._graph = checks.graph_of(self._model, self._shape)
        checks.require(self._graph, list(self._conventions.values()))
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
        self._vectors: dict[str, Tensor] = {}
        self._measurements = 0

    def measure(self) -> dict[str, float]:
        """Ln R of the model as it is now, under each convention.

        Raises
        ------
        ValueError
            If a weight is not finite.
        """
        if not self._graph.fixed:
            self._graph = trace(self._model, self._shape)
        tensors = named_tensors(self._model)
        self._measurements += 1
        result = {}
        by_operator = [c for c in self._conventions.values() if isinstance(c, OperatorConvention)]
        if by_operator:
            result.update(self._by_operator(by_operator, tensors))
        for convention in self._conventions.values():
            if isinstance(convention, MatrixConvention):
                result[convention.name] = self._by_matrix(convention, tensors)
        return {name: result[name] for name in self._conventions}

    def _by_operator(
        self, conventions: list[OperatorConvention], tensors: Mapping[str, Tensor]
    ) -> dict[str, float]:
        sigmas, norms = [], []
        for use in self._graph.uses:
            weight = checks.weight_of(use, tensors)
            norms.append(norm_21(use, weight, self._reference, self._initial.get(use.label)))
            sigmas.append(self._sigma(use.label, use.map, weight))
        gains = self._graph.gains(logs(sigmas))
        return {
            convention.name: convention.log_value(
                logs([pair[convention.sums] for pair in norms]), gains
            )
            for convention in conventions
        }

    def _by_matrix(self, convention: MatrixConvention, tensors: Mapping[str, Tensor]) -> float:
        sigmas, norms = [], []
        for index in convention.chosen(self._graph.uses):
            use = self._graph.uses[index]
            matrix = use.map.matrix(checks.weight_of(use, tensors, raw=True))
            norms.append(float(convention.norm_21(matrix)))
            key = f"{use.label}, {convention.name}"
            sigmas.append(self._sigma(key, Dense(tuple(matrix.shape)), matrix))
        return convention.log_value(logs(sigmas), logs(norms))

    def _sigma(self, key: str, linear_map: Any, weight: Tensor) -> float:
        seed = self._measurements
        value, vector = sigma_warm(linear_map, weight, self._vectors.get(key), seed)
        if vector is not None:
            self._vectors[key] = vector
        return value

    def state_dict(self) -> dict[str, Any]:
        """What the next measurement starts from: numbers and tensors, in plain dicts."""
        return {
            "measurements": self._measurements,
            "vectors": {key: vector.clone() for key, vector in self._vectors.items()},
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
        labels = {use.label for use in self._graph.uses}
        foreign = {key.split(", ")[0] for key in vectors} - labels
        if foreign or initial.keys() != self._initial.keys():
            raise InvalidArgument(
                "state",
                "must come from a tracker of the same model and reference; it has "
                f"{', '.join(sorted(foreign)) or 'other initial weights'}",
            )
        self._measurements = count
        self._vectors = {key: vector.clone() for key, vector in vectors.items()}
        self._initial = {key: weight.clone() for key, weight in initial.items()}
