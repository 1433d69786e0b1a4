"""Tests of proofs with a control plane and servers of their own, which are taken away after the last of them."""
