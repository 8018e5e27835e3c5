"""What is administered over HTTP: agents, tokens, tasks, decisions, bundles, kills and the log."""
