"""Enforcement points: they ask, fulfil, act and report, and know only the vocabulary."""
