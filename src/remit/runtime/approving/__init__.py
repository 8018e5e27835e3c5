"""Access requests: opened by a denial, shown to people, answered by them, used once."""
