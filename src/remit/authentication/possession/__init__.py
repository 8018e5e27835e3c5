"""Proof that a token belongs to who presents it (RFC 9449, RFC 8705)."""
