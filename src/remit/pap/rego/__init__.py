"""Policies in Rego as a bundle holds them: planned by the engine, and refused where they would silently not hold."""
