"""One file per data set: its published folder becomes rows of a manifest, or views."""
