"""ONNX: exports a fine-tuned model, and scores reviews with ONNX Runtime."""
