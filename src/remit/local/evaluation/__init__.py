"""Recorded agent runs through the real gate: what the guard would have stopped, and what honest work it would have held up."""
