"""How the server is watched: figures, lines of what happened, traces. None of it is in the way of a decision."""
