"""The measurement report a second time, made by highdicom: ours has to have the same bytes."""
