"""Training: the transformers Trainer that params.yaml describes, its batches, and going on from checkpoints."""
