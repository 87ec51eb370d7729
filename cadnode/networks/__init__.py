"""Networks and their configurations: torch modules, nothing of files, cards or views."""
