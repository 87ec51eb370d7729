"""The command line: one file a group of commands; imports what they do only when they run."""
