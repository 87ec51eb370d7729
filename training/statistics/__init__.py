"""Statistics that the papers need: arrays in, numbers with intervals out."""
