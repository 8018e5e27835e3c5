"""The embedded mode: configuration, and the wiring of every part on one machine."""
