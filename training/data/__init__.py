"""Public data sets as the training sees them."""
