"""Schedules: values that change with the progress of a run, from 0 at its start to 1 at its end."""

import math


def geometric(start: float, end: float, progress: float) -> float:
    """Return the value a fraction `progress` of the way from start to end on a logarithmic scale; both > 0."""
    return math.exp((1 - progress) * math.log(start) + progress * math.log(end))


def cosine(start: float, end: float, progress: float) -> float:
    """Return the value on a half cosine from start to end: flat at both ends."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))
