"""One patient taken out of all that a node keeps; the search that proves it (docs/erasure.md)."""
