"""Tests with a real node, which is taken away after the last of them."""
