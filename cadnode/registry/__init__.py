"""Models on disk: which are installed, active, promoted or in the shadow; no networks."""
