"""Deciding, pure: bundle, state and request in, decision and effects out."""
