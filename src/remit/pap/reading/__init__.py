"""Bundles read from folders: strict YAML with positions, fields into nouns, every fault at its line."""
