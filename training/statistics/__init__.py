"""The papers' statistics: arrays in, numbers with confidence intervals out."""
