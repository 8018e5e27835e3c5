"""Facts: what a bundle derives from the arguments of a call and from what earlier calls returned, for policies to read."""
