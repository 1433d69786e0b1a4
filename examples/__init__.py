"""Examples that run: the pilot estate and the demo that brings it to life."""
