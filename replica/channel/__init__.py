"""The data's side of a problem: what an example does to the weights.

A channel joins a loss with the measure of the field (labels of a teacher, or two clouds) and
gives the averages over training examples at any overlap.
"""

from replica.channel.channel import Averages, Centre, Channel, CloudChannel, TeacherChannel

__all__ = ["Averages", "Centre", "Channel", "CloudChannel", "TeacherChannel"]
