"""Suites: a grid of tasks, models, attacks, defenses, recipes and seeds in YAML, run cell by cell and reported."""
