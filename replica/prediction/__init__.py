"""What regularised logistic regression does on data of one's own, from their first moments."""

from replica.prediction.curve import predict_learning_curve
from replica.prediction.estimate import EstimatedInputs, estimate_inputs
from replica.prediction.record import LearningCurve

__all__ = ["EstimatedInputs", "LearningCurve", "estimate_inputs", "predict_learning_curve"]
