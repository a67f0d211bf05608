"""Training: one fine-tuning from reviews to weights, its batches, its checkpoints, and soft labels."""
