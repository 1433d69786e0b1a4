"""Tests of what the API server refuses, with a control plane that is taken away after the last of them."""
