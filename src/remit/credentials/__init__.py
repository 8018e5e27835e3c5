"""Leases in, short-lived credentials out; sole holder of secrets."""
