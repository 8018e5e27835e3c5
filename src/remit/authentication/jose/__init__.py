"""Signed objects and public keys, read strictly (RFC 7515, 7517, 7518, 8037)."""
