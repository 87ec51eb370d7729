"""A node's backup: one tar file with its storage, job database, settings and identities."""
