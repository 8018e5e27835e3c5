"""Access requests told to people where they work, and their answers from there."""
