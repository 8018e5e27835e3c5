"""The Python door: guard a function, enter a task."""
