"""The short form of a camera's detectors: what equal CCDs have in common is written once."""

from collections.abc import Mapping, Sequence
from typing import Any

from etendue.camera.detector import Detector

_OWN = ("id", "name", "serial", "center_mm", "rotation_deg")
_ELECTRONICS = ("gain", "read_noise", "saturation")


def compact_detectors(detectors: Sequence[Detector]) -> dict[str, Any]:
    """Return the entries ``kinds`` and ``detectors`` of a camera's YAML.

    Parameters
    ----------
    detectors : sequence of Detector
        All of them.

    Returns
    -------
    dict
        `etendue.camera.layout.expand` makes equal detectors of it, in the same order; plain ones for a single detector.
    """
    plain = [detector.model_dump(mode="json", exclude_defaults=True) for detector in detectors]
    if len(plain) == 1:
        return {"detectors": plain}
    kinds: list[dict[str, Any]] = []
    runs: list[tuple[int, list[int]]] = []  # kind, detectors in a row that are of it
    for number, content in enumerate(plain):
        common = _common(content)
        if common not in kinds:
            kinds.append(common)
        kind = kinds.index(common)
        if runs and runs[-1][0] == kind:
            runs[-1][1].append(number)
        else:
            runs.append((kind, [number]))
    names = {kind: f"kind{kind + 1}" if len(kinds) > 1 else "ccd" for kind in range(len(kinds))}
    tables = [_table([plain[number] for number in members], names[kind]) for kind, members in runs]
    return {"kinds": {names[kind]: content for kind, content in enumerate(kinds)}, "detectors": tables}


def _common(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may be the same in other detectors."""
    amplifiers = [
        {key: value for key, value in amplifier.items() if key not in _ELECTRONICS}
        for amplifier in content["amplifiers"]
    ]
    return {key: value for key, value in content.items() if key not in _OWN} | {"amplifiers": amplifiers}


def _table(members: Sequence[Mapping[str, Any]], kind: str) -> dict[str, Any]:
    rows = [_row(content) for content in members]
    columns = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    return {"kind": kind, "columns": columns, "rows": [[row[name] for name in columns] for row in rows]}


def _row(content: Mapping[str, Any]) -> dict[str, Any]:
    x, y = content.get("center_mm", (0.0, 0.0))
    row: dict[str, Any] = {"id": content["id"], "name": content["name"], "x_mm": x, "y_mm": y}
    row["rotation_deg"] = content.get("rotation_deg")
    row["serial"] = content.get("serial")
    for what in _ELECTRONICS:
        given = {a["name"]: a[what] for a in content["amplifiers"] if what in a}
        # A list where all amplifiers say it; what is the same for all is one number.
        values = list(given.values())
        whole = len(given) == len(content["amplifiers"])
        row[what] = (values[0] if len(set(values)) == 1 else values) if whole and values else given or None
    return row
