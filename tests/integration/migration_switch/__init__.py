"""The switch of a cooperative to its own servers and back, with the commands run as processes."""
