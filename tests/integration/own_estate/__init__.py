"""A cooperative goes to a cluster of its own: two embedded platforms with simulated nodes."""
