"""One folder per paper: its protocol, our recipe, training and evaluation."""
