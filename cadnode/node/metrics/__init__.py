"""What the node counts of itself for Prometheus: the table of metrics, and the roles' counts."""
