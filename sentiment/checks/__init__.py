"""The dry run of the pretrained model, which only the stage check runs."""
