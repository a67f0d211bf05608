"""Fine-tuning: batches, checkpoints, training history and soft labels."""
