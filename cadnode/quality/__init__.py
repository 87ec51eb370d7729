"""Whether readings stay what they were: the journal of scores, and what is computed from it."""
