"""The pages' messages in other languages: one `.po` catalog each, and how they are kept current."""
