"""Policies in Rego: what they are shown, what their answers mean, and the boundary to the engine in this process."""
