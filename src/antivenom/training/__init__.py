"""From prepared rows to an artifact."""
