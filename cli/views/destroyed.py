"""How a destruction looks: what is asked before, what is said after."""

from cli.views import human, json
from cli.views.changes import changes_document, headline
from provisioner.operations.destroying import Destroyed


def question(name: str, *, delete_data: bool) -> str:
    """What is destroyed, in one sentence."""
    if delete_data:
        return f"This takes away {name}: its namespaces, solutions, access, its database and its bucket with all data."
    return f"This takes away {name}: its namespaces, solutions and access; its database and its bucket are kept."


def show(name: str, done: Destroyed, *, delete_data: bool, output: str) -> None:
    """Say what was taken away and where the data are."""
    if output == "json":
        content = {"stack": name, "dataDeleted": delete_data, "dump": done.dump, **changes_document(done.changes)}
        json.write("Destroyed", content)
        return
    console = human.stdout()
    summary = headline(done.changes, done=True) if done.changes.any else f"{name}: nothing was left to take away"
    console.print(summary, markup=False)
    if delete_data:
        console.print(f"its data are deleted; the final dump is {done.dump}", markup=False)
    else:
        console.print(
            f"its data are kept; `coopctl apply {name}` takes them up again",
            markup=False,
        )
