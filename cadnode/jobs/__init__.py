"""The durable workflow: complete → read → report → deliver."""
