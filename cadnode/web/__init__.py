"""The node's HTTP side: health, the state of each study, and its page. Knows no database."""
