"""A program of its own: ties the pulumi CLI to the coopctl that starts it, then becomes that CLI.

Called as ``python -I -S leash.py OWNER PROGRAM ARGUMENT...``. It stands alone (no import from the project), so that it
starts within milliseconds; doing this in a forked child of a program with threads would not be safe.

1. It asks the kernel to send SIGINT when the owner dies: the CLI then finishes the operations in flight and saves.
   (Linux only; elsewhere the next coopctl finds the process by its mark, see provisioner.engine.leftovers.)
2. It becomes PROGRAM: process id and environment stay the same.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def main(arguments: list[str]) -> None:
    """Tie this process to its owner and become the program; exits with 130 if the owner is already gone."""
    owner, program = int(arguments[0]), arguments[1]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != owner:
        sys.exit(128 + signal.SIGINT)
    os.execv(program, arguments[1:])  # noqa: S606 - becoming the program is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
