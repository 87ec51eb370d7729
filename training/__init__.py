"""How the packaged weights were made, and how they are measured."""
