"""Use an artifact: guard.wrap -> model -> guard.read."""
