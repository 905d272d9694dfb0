"""What a model is worth: evaluations, comparisons, and what is computed from stored outputs."""
