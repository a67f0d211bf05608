"""Models: pretrained ones, encoding, scoring, the n-gram baseline, and ONNX."""
