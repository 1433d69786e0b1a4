"""How first logins look: the one answer that shows passwords, since it is asked for nothing else."""

import sys
from collections.abc import Sequence

from cli.views import human, json
from provisioner.operations.first_logins import FirstLogin


def show(found: Sequence[FirstLogin], *, name: str, output: str) -> None:
    """Show where, who and with what."""
    if output == "json":
        json.write("FirstLogins", {"cooperative": name, "logins": documents(found)})
        return
    if not found:
        sys.stderr.write(f"no solution of {name} has users of its own\n")
        return
    rows = [(one.solution, one.url, one.user, one.password.reveal()) for one in found]
    human.stdout().print(human.table("solution", "address", "user", "first password", rows=rows))


def documents(found: Sequence[FirstLogin]) -> list[dict[str, str]]:
    """The JSON form of first logins."""
    return [
        {"solution": one.solution, "url": one.url, "user": one.user, "password": one.password.reveal()} for one in found
    ]
