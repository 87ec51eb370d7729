"""One exam's reading on one page: for the demo, for `cadnode read`, for the node, and on paper."""
