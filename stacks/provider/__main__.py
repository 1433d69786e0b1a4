"""The executable ``pulumi-resource-coopctl``."""

import sys

from stacks.provider.server import serve

if __name__ == "__main__":
    serve(sys.argv[1:])
