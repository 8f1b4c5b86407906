"""Learning curves recorded while a network trains, in the table that `deepnorm fit` reads.

`CurveRecorder` is for a loop of one's own; `deepnorm.recording.lightning` and
`deepnorm.recording.transformers` hang it into their trainers.
"""

from deepnorm.recording.recorder import CurveRecorder

__all__ = ["CurveRecorder"]
