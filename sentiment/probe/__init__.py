"""A linear probe: frozen features of a pretrained model, and logistic regression on them."""
