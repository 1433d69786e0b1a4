"""The image that a proof's pods run: its name in images.lock, and where it lies in the platform's registry."""

PROBE = "probe"
REPOSITORY = "coopctl/probe"
REMEDY = f"run `coopctl images build {PROBE} --push`"
