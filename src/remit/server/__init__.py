"""The control plane: decisions over HTTP."""
