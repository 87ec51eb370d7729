"""Networks, their cards and weights, and how they read views."""
