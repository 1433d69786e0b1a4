"""Tests with real servers, control planes and nodes."""
