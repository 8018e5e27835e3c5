"""Policy administration: bundles are read, checked, tested, compared and published."""
