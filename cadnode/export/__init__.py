"""Models for other tools: MONAI bundles and ONNX files, both checked against the node's reading."""
