"""The policy pack as the pulumi CLI runs it: a process that judges what it is shown until the CLI ends it.

Imports are few on purpose: this starts at every preview and every update.
"""

import os
import threading
import time

from pulumi_policy import PolicyPack

from policies.pack import isolation

_LOOK_SECONDS = 1.0


def end_with(parent: int) -> None:
    """End this process when ``parent`` is gone: a CLI that was killed tells nobody."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    PolicyPack(name="coopctl", policies=[isolation()])
