"""Studies fetched from their source on request: requests, sources, the fetch."""
