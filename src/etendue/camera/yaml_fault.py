"""What is wrong in a YAML file: the line, the entry, the value and the remedy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import yaml
from pydantic import BaseModel, ValidationError

from etendue.errors import InputError

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class YamlFault:
    """One fault.

    Parameters
    ----------
    place : tuple of str or int
        Keys and list indices that lead to the entry.
    message : str
        What is wrong, in one line.
    value : object
        The value given, where it is short.
    remedy : str
        What to do.
    line : int or None
        Line of the file, from 1; None where unknown.
    """

    place: Place
    message: str
    value: object = None
    remedy: str = ""
    line: int | None = None

    @property
    def key(self) -> str:
        """The place as text, ``detectors.0.amplifiers.1.bbox``."""
        return ".".join(str(part) for part in self.place)

    def error(self, source: object) -> InputError:
        """Return the error that tells of it.

        Parameters
        ----------
        source : object
            File named in it.

        Returns
        -------
        InputError
        """
        where = source if self.line is None else f"{source}, line {self.line}"
        message = f"{self.key}: {self.message}" if self.key else self.message
        return InputError(message, source=where, value=self.value, remedy=self.remedy or None)


class YamlFaultsError(Exception):
    """Faults found before the parts of a file are put together.

    Parameters
    ----------
    faults : sequence of YamlFault
        At least one.
    """

    def __init__(self, faults: Sequence[YamlFault]):
        self.faults = tuple(faults)
        super().__init__(faults[0].message)


def faults_of(error: ValidationError, *, whole: str, above: Place = (), known: Iterable[str] = ()) -> list[YamlFault]:
    """Return pydantic's complaints.

    Parameters
    ----------
    error : ValidationError
        What pydantic found.
    whole : str
        What the file describes, named where no key is to blame.
    above : tuple
        Place of the part that was checked.
    known : iterable of str
        Keys that exist somewhere, to tell what a misspelt one may have meant.

    Returns
    -------
    list of YamlFault
    """
    faults = []
    entries = error.errors()
    for entry in entries:
        inside = any(other["loc"][: len(entry["loc"])] == entry["loc"] != other["loc"] for other in entries)
        if entry["type"] == "too_short" and inside:
            continue  # only because its members are wrong
        place = (*above, *(part for part in entry["loc"] if isinstance(part, str | int)))
        key = ".".join(str(part) for part in place) or whole
        value = entry["input"] if isinstance(entry["input"], str | int | float) else None
        remedy = f"correct '{key}'"
        if entry["type"] == "missing":
            remedy = f"add '{key}'"
        elif entry["type"] == "extra_forbidden":
            meant = get_close_matches(str(place[-1]), tuple(known), n=1)
            remedy = f"did you mean '{meant[0]}'?" if meant else "remove it or correct its spelling"
        message = entry["msg"].removeprefix("Value error, ")
        faults.append(YamlFault(place or (whole,), message, value, remedy))
    return faults


def field_names(*models: type[BaseModel]) -> frozenset[str]:
    """Return the names of all fields of models.

    Parameters
    ----------
    *models : type
        Pydantic models.

    Returns
    -------
    frozenset of str
    """
    return frozenset(name for model in models for name in model.model_fields)


def with_lines(faults: Iterable[YamlFault], text: str, loader: type[yaml.SafeLoader]) -> list[YamlFault]:
    """Return faults with the lines where their entries stand.

    Parameters
    ----------
    faults : iterable of YamlFault
        Faults.
    text : str
        The file.
    loader : type
        Loader that reads it.

    Returns
    -------
    list of YamlFault
        In the order of the lines.
    """
    root = yaml.compose(text, Loader=loader)
    found = [replace(fault, line=_line_of(root, fault.place)) for fault in faults]
    return sorted(found, key=lambda fault: fault.line or 0)


def _line_of(node: yaml.Node | None, place: Place) -> int | None:
    """Return the line of an entry, or of the deepest part of its place that exists."""
    if node is None:
        return None
    line = node.start_mark.line + 1
    if not place:
        return line
    if isinstance(node, yaml.MappingNode):
        entry = _entry(node, str(place[0]))
        if entry is None:
            return line
        key, value = entry
        # A block below its key begins a line later: the key is what people look for.
        return key.start_mark.line + 1 if len(place) == 1 else _line_of(value, place[1:])
    if isinstance(node, yaml.SequenceNode) and isinstance(place[0], int) and place[0] < len(node.value):
        return _line_of(node.value[place[0]], place[1:])
    return line


def _entry(node: yaml.MappingNode, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    """Return key and value of a mapping, those merged by ``<<`` included."""
    merged: list[yaml.Node] = []
    for key, value in node.value:
        if key.value == name:
            return key, value
        if key.value == "<<":
            merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
    for other in merged:
        if isinstance(other, yaml.MappingNode) and (entry := _entry(other, name)) is not None:
            return entry
    return None
