"""Policies in Cedar: parsed once, sliced by scope, with what each can read, and the boundary to the engine."""
