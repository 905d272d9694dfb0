"""Speed, side by side with the usual ways. `python -m benchmarks --help` says how."""
