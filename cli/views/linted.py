"""How judged charts look: as `policy check` shows violations, but by chart."""

from collections.abc import Sequence

from cli.views import human, json, sarif
from cli.views.policy import counted, violation_document, violation_lines
from provisioner.operations.linting import Linted


def show(found: Sequence[Linted], *, output: str) -> None:
    """Show every violation, then how much was judged."""
    if output == "sarif":
        sarif.write([one.verdict for one in found])
        return
    if output == "json":
        json.write("CatalogueLint", {"charts": [_document(one) for one in found]})
        return
    out = human.stdout()
    for one in found:
        for violation in one.verdict.violations:
            for line in violation_lines(violation):
                out.print(line, markup=False)
    out.print(_summary(found), markup=False)


def _document(one: Linted) -> dict[str, object]:
    return {
        "name": one.name,
        "chart": str(one.chart),
        "objects": one.verdict.objects,
        "violations": [violation_document(violation) for violation in one.verdict.violations],
    }


def _summary(found: Sequence[Linted]) -> str:
    of = found[0].name if len(found) == 1 else counted(len(found), "chart")
    objects = sum(one.verdict.objects for one in found)
    broken = sum(len(one.verdict.violations) for one in found)
    return f"{of}: {counted(objects, 'object')} judged: {counted(broken, 'violation') if broken else 'no violation'}"
