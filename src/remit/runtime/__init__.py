"""May this happen now? Load, decide, commit; tasks, sessions, approvals and outcomes."""
