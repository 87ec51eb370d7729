"""Where something is: microcalcifications, clusters, masses, and their features."""
