"""Heat maps over source images."""
