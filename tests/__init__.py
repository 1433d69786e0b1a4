"""coopctl's tests."""
