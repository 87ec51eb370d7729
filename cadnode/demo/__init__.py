"""`cadnode demo`: a real exam through a running node, an archive, and a page to look at."""
