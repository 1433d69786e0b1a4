"""Pure: members added to and taken out of the list in a Cooperative document; comments and order stay as they are.

The text is cut where YAML says that a value begins and ends. A list can be written in many ways (in brackets, with
dashes, through an anchor that is used elsewhere too): what was made is read again by whoever asked for it, and is only
used if it says exactly what was meant.
"""

from collections.abc import Collection, Sequence

import yaml

from provisioner.descriptor.cooperative import Member
from provisioner.descriptor.registration_number import written_out
from provisioner.descriptor.writing import quoted

_DEEPER = "  "
_BLOCK_SCALARS = ("|", ">")


def added_to_yaml(text: str, members: Sequence[Member]) -> str:
    """The document ``text`` with ``members`` at the end of spec.members, which is a list."""
    listed = _list_in(text)
    entries = [_entry(member) for member in members]
    if listed.flow_style:
        at, joined = _inside(listed), ", ".join(entries)
        return f"{text[:at]}{', ' if listed.value else ''}{joined}{text[at:]}"
    at = _line_end(text, _end(listed.value[-1]))
    before, indent = text[:at], " " * listed.start_mark.column
    end = "" if before.endswith("\n") else "\n"
    return before + end + "".join(f"{indent}- {entry}\n" for entry in entries) + text[at:]


def taken_from_yaml(text: str, ids: Collection[str]) -> str:
    """The document ``text`` without the members ``ids`` of spec.members, which is a list."""
    listed = _list_in(text)
    leaving = [place for place, item in enumerate(listed.value) if _id_of(item) in ids]
    return _without_flow(text, listed, leaving) if listed.flow_style else _without_block(text, listed, leaving)


def _without_flow(text: str, listed: yaml.SequenceNode, leaving: Sequence[int]) -> str:
    following: int | None = None
    for place in reversed(range(len(listed.value))):
        start, end = listed.value[place].start_mark.index, _end(listed.value[place])
        if place not in leaving:
            following = start
            continue
        if following is not None:
            end = following
        elif place:
            start = _end(listed.value[place - 1])
        text = text[:start] + text[end:]
        # What comes next has moved to where this one began.
        following = None if following is None else start
    return text


def _without_block(text: str, listed: yaml.SequenceNode, leaving: Sequence[int]) -> str:
    column = listed.start_mark.column
    first = _dash_line(text, listed.value[0].start_mark.index, column=column)
    for place in reversed(leaving):
        item = listed.value[place]
        start = _dash_line(text, item.start_mark.index, column=column)
        text = text[:start] + text[_line_end(text, _end(item)) :]
    if len(leaving) == len(listed.value):
        text = f"{text[:first]}{' ' * column}{_DEEPER}[]\n{text[first:]}"
    return text


def _list_in(text: str) -> yaml.SequenceNode:
    node = yaml.compose(text, Loader=yaml.CSafeLoader)
    for name in ("spec", "members"):
        fields = node.value if isinstance(node, yaml.MappingNode) else ()
        node = next(value for key, value in fields if key.value == name)
    if not isinstance(node, yaml.SequenceNode):
        raise TypeError("spec.members is not a list")
    return node


def _inside(listed: yaml.SequenceNode) -> int:
    """Where a further value may begin in a list in brackets."""
    return _end(listed.value[-1]) if listed.value else listed.start_mark.index + 1


def _end(node: yaml.Node) -> int:
    """Where the text of a value ends, without what only stands behind it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _line_end(text: str, at: int) -> int:
    """The beginning of the line after the one in which ``at`` is the end of a value."""
    if text[at - 1 : at] == "\n":
        return at
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _dash_line(text: str, at: int, *, column: int) -> int:
    """The beginning of the line with the dash of the value that begins at ``at``."""
    return text.rfind(f"\n{' ' * column}-", 0, at) + 1


def _id_of(item: yaml.Node) -> str:
    fields = item.value if isinstance(item, yaml.MappingNode) else ()
    return next((str(value.value) for key, value in fields if key.value == "id"), "")


def _entry(member: Member) -> str:
    number = f", registrationNumber: {quoted(written_out(member.registration_number))}"
    fields = f"id: {quoted(member.id)}, name: {quoted(member.name)}, employees: {member.employees}"
    return f"{{{fields}{number if member.registration_number else ''}}}"
