"""Composition root: the only room that knows every other and hands values between them."""
