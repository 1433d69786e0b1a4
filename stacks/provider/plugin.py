"""How the pulumi CLI finds and starts the provider: the executable ``pulumi-resource-coopctl``.

It lies in ``$PULUMI_HOME/plugins/resource-coopctl-v<VERSION>/`` and needs no language host and no PulumiPlugin.yaml.
"""

import shlex
from pathlib import Path

PACKAGE = "coopctl"
PLUGIN_NAME = f"pulumi-resource-{PACKAGE}"
VERSION = "0.1.0"


def executable(python: Path, *, paths: tuple[Path, ...] = ()) -> str:
    """The text of the executable, a shell script that starts the provider with the interpreter ``python``.

    ``paths`` are put on Python's module path, for a coopctl that is not installed in that interpreter. ``-P`` keeps
    modules that lie in the caller's folder out.
    """
    lines = ["#!/bin/sh"]
    if paths:
        joined = ":".join(str(path) for path in paths)
        lines.append(f"export PYTHONPATH={shlex.quote(joined)}")
    lines.append(f'exec {shlex.quote(str(python))} -P -m stacks.provider "$@"')
    return "\n".join(lines) + "\n"
