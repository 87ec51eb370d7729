"""Real viewers as peers of the tests: a browser to drive, a site that serves a built viewer."""
