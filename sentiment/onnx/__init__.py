"""ONNX: writing a fine-tuned model as a graph, and the classifier that runs it with ONNX Runtime."""
