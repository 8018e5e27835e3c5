"""The baseline bundle: useful on the first day, about no particular tool."""

from pathlib import Path

FOLDER = Path(__file__).parent
"""Where the bundle stands: `remit init` copies it, `read_bundle` reads it."""
