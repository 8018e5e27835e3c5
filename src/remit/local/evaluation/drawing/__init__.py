"""The picture of an evaluation."""
