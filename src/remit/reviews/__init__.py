"""Should this access exist? What looks back over the log."""
