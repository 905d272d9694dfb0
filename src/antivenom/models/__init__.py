"""Language models: what scores prompts. Importing this package loads no torch."""
