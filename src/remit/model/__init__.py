"""The nouns, frozen, without I/O, and the protocols that others implement."""
