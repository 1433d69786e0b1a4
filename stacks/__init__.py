"""The Pulumi programs. They walk a plan and declare it; they decide nothing."""
