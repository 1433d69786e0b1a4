"""The commands of a migration, run as processes against servers that really run."""
