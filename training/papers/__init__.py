"""One folder a paper: its protocol, our recipe, training and evaluation."""
