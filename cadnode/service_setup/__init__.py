"""A node as a service of systemd: its unit, and what a machine needs for it."""
