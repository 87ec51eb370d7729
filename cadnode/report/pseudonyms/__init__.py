"""Mammograms without a patient's identity: the key, the attributes that stay, the new data set."""
