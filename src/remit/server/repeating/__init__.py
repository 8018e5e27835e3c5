"""A request that comes again under its `Idempotency-Key` is answered as it was, and not done twice."""
