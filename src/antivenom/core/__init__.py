"""What everything stands on: errors, options, the registry of methods, hashing, files, triggers."""
