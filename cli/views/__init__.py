"""How results look: for people (rich), as JSON, and as progress. No decisions, no I/O but the streams."""
