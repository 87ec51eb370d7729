"""How the packaged weights were trained, and how they are measured."""
