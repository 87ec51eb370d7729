"""Studies fetched from their source because somebody asked: requests, sources, the fetch."""
