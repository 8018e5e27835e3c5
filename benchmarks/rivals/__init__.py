"""Rivals, each in an environment of its own, on a rule that all of them can say."""

from benchmarks.rivals.measuring import measure

__all__ = ["measure"]
