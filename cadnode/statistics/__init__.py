"""Statistics that the node and the training share: arrays in, numbers with intervals out."""
