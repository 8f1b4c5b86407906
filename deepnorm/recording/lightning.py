"""`RecordCurve`: a callback of Lightning that records a learning curve at validations."""

from __future__ import annotations

import warnings
from typing import Any

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError as error:
    raise ImportError(
        'deepnorm.recording.lightning needs lightning: pip install "replica-learning[callbacks]"'
    ) from error

from deepnorm.recording.recorder import CurveRecorder
from replica.common.arguments import InvalidArgument, quoted
from replica.common.text import listed

__all__ = ["RecordCurve"]


class RecordCurve(Callback):
    """Records the norm and a validation metric, at each validation that is due.

    Parameters
    ----------
    path, P, seed, and more keywords
        As for `CurveRecorder`, which is made when the fit begins.
    metric : str
        Name under which the module logs it, as ``self.log("val_acc", ...)``.
    accuracy : bool
        It is an accuracy: the error is 1 less it.
    model : str, optional
        Attribute of the module that holds the network; the module itself if left out.

    Raises
    ------
    ValueError
        As `CurveRecorder`, when the fit begins. What goes wrong later is warned of, once, and
        ends the recording, not the training.
    """

    def __init__(
        self,
        path: str,
        *,
        P: float,
        seed: int | str,
        metric: str = "val_acc",
        accuracy: bool = True,
        model: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self._options = {"path": path, "P": P, "seed": seed, **options}
        self._metric, self._accuracy, self._attribute = metric, accuracy, model
        self._recorder: CurveRecorder | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the network, in the one process that writes."""
        if trainer.is_global_zero:
            network = pl_module
            if self._attribute is not None:
                network = getattr(pl_module, self._attribute)
            self._recorder = CurveRecorder(network, **self._options)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A record, if one is due."""
        recorder = self._recorder
        if trainer.sanity_checking or recorder is None or not recorder.due(trainer.global_step):
            return
        try:
            if self._metric not in trainer.callback_metrics:
                raise InvalidArgument(
                    "metric",
                    f"must be one that is logged: {listed(sorted(trainer.callback_metrics))}",
                    quoted(self._metric),
                )
            value = float(trainer.callback_metrics[self._metric])
            recorder.record(trainer.global_step, 1 - value if self._accuracy else value)
        except (ValueError, OSError) as error:
            self._recorder = None
            warnings.warn(f"the learning curve ends here: {error}", stacklevel=2)
