"""Pretrained models: finding or downloading one, and building a two-label classifier from it."""
