"""`RecordCurve`: a callback of transformers' Trainer that records a curve at evaluations."""

from __future__ import annotations

import warnings
from typing import Any

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise ImportError(
        "deepnorm.recording.transformers needs transformers: "
        'pip install "replica-learning[callbacks]"'
    ) from error

from deepnorm.recording.recorder import CurveRecorder
from replica.common.arguments import InvalidArgument, quoted
from replica.common.text import listed

__all__ = ["RecordCurve"]


class RecordCurve(TrainerCallback):
    """Records the norm and a metric, at each evaluation that is due.

    Parameters
    ----------
    path, P, seed, and more keywords
        As for `CurveRecorder`, which is made when the training begins; ``example`` is what the
        model takes, as in ``{"input_ids": ids}``.
    metric : str
        Name of it among those of an evaluation, as "eval_accuracy".
    accuracy : bool
        It is an accuracy: the error is 1 less it.

    Raises
    ------
    ValueError
        As `CurveRecorder`, when the training begins. What goes wrong later is warned of, once,
        and ends the recording, not the training.
    """

    def __init__(
        self,
        path: str,
        *,
        P: float,
        seed: int | str,
        metric: str = "eval_accuracy",
        accuracy: bool = True,
        **options: Any,
    ) -> None:
        self._options = {"path": path, "P": P, "seed": seed, **options}
        self._metric, self._accuracy = metric, accuracy
        self._recorder: CurveRecorder | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look at the network, in the one process that writes."""
        if state.is_world_process_zero:
            self._recorder = CurveRecorder(kwargs["model"], **self._options)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A record, if one is due."""
        recorder, metrics = self._recorder, kwargs.get("metrics", {})
        if recorder is None or not recorder.due(state.global_step):
            return
        try:
            if self._metric not in metrics:
                raise InvalidArgument(
                    "metric",
                    f"must be one of an evaluation: {listed(sorted(metrics))}",
                    quoted(self._metric),
                )
            value = float(metrics[self._metric])
            recorder.record(state.global_step, 1 - value if self._accuracy else value)
        except (ValueError, OSError) as error:
            self._recorder = None
            warnings.warn(f"the learning curve ends here: {error}", stacklevel=2)
