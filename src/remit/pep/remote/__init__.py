"""The decision point in another process: the same protocol of the doors, asked over HTTP."""
