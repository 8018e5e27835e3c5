"""The store of the embedded mode, on SQLite."""
