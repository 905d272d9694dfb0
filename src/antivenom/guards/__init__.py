"""What stands around a model: prompts, the label map, and the guard that is kept after training."""
