"""Who and what exists: agents and their owners."""
