"""How solutions keep members apart in the database (annotation ``member-layout``), held against the descriptor.

One database is laid out in one way. A solution whose tables are shared, with a column that says whose a row is, is at
odds with schemas of members, and one that works in members' schemas finds none where they share tables.
"""

from collections.abc import Iterable, Iterator

from provisioner.catalogue import Catalogue, Solution
from provisioner.descriptor.cooperative import Cooperative, MemberLayout
from provisioner.plan.solution_needs import Unmet

PATH = "spec.dataStore.postgres.memberLayout"


def unfit_layout(solution: Solution, *, cooperative: Cooperative, catalogue: Catalogue) -> Iterator[Unmet]:
    """What is wrong if ``cooperative`` keeps its members apart otherwise than ``solution``, and where that stands."""
    needed, given = solution.member_layout, cooperative.postgres.member_layout
    if needed is None or needed is given:
        return
    origin = cooperative.origins.get(PATH)
    place = f" ({origin.kind}: {origin.location})" if origin else ""
    chosen = [catalogue.solution(one.name) for one in cooperative.solutions if one.name in catalogue.names]
    others = [one.name for one in chosen if one.member_layout is given]
    hint = f"write `memberLayout: {needed}` into spec.dataStore.postgres, before the cooperative has data"
    if others:
        hint = f"choose either {solution.name} or {', '.join(others)}: one cooperative has one layout"
    yield f"keeps members apart by memberLayout {needed}, and {PATH} is {given}{place}", hint


def needed_layout(names: Iterable[str], *, catalogue: Catalogue) -> MemberLayout | None:
    """The one layout that the solutions ``names`` need; None if they need none, or contradict each other."""
    known = [catalogue.solution(name) for name in names if name in catalogue.names]
    needed = {one.member_layout for one in known if one.member_layout is not None}
    return needed.pop() if len(needed) == 1 else None
