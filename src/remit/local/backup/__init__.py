"""The whole deployment as a folder: made while it runs, checked without it, and put back with nothing left that could act."""
