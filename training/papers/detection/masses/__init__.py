"""The detector of masses: a map of centres and sizes, learnt from boxes, cross-fitted by woman."""
