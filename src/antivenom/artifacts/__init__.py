"""What is written: the artifact with its manifest, and rows for other trainers."""
