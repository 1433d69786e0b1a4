"""Tests of the engine with a control plane of their own, which is taken away after the last of them."""
