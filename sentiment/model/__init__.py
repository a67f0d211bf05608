"""The fine-tuned transformer: tokenizer, encoding, weights, scoring, and its folder."""
