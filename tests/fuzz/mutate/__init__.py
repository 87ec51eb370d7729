"""Mutators: an input and a generator in, another input out."""
