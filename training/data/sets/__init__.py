"""One file a data set: its folder as it is published becomes rows of a manifest, or views."""
