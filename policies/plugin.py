"""How the pulumi CLI finds and starts the policy pack: the executable ``pulumi-analyzer-policy-python``.

The CLI looks for it where a policy pack says `runtime: python` and no language host is installed. It lies in
``$PULUMI_HOME/plugins/analyzer-policy-python-v<VERSION>/``.
"""

import shlex
from pathlib import Path

VERSION = "0.1.0"
PLUGIN = f"analyzer-policy-python-v{VERSION}"
FOLDER = Path(__file__).parent


def executable(python: Path, *, paths: tuple[Path, ...] = ()) -> str:
    """The text of the executable, a shell script that starts the pack with the interpreter ``python``.

    ``paths`` are put on Python's module path, for a coopctl that is not installed in that interpreter. The pack is
    run itself, not by Pulumi's ``pulumi.policy``, which would only look for it.
    """
    lines = ["#!/bin/sh"]
    if paths:
        joined = ":".join(str(path) for path in paths)
        lines.append(f"export PYTHONPATH={shlex.quote(joined)}")
    lines.append(f'exec {shlex.quote(str(python))} -u -P -m policies "$@"')
    return "\n".join(lines) + "\n"
