"""What can be known to go wrong before a bundle decides anything, one concern per module."""
