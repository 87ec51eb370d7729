"""Data sets as training and evaluation see them."""
