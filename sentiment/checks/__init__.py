"""What only the stage check runs: a dry run of the pretrained model."""
