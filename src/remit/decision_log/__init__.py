"""The tamper-evident record: append, prove, verify."""
