"""What is asked of the model, and which answers are right; `presets/` holds tasks by name."""
