"""Backends of every store protocol; the only SQL."""
