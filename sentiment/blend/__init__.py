"""The blend: a weighted sum of the logits of n-grams and an encoder, which make different mistakes."""
