"""What the node sends, says and accepts today, kept so that a later change of it is noticed."""
