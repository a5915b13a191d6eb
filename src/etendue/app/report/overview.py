"""What was observed, and with which programs it was processed."""

import importlib.metadata
import platform
from collections import Counter
from pathlib import Path
from typing import Any

from etendue.app.report.reader import Reader
from etendue.app.report.section import Column, Grid, Section

_PACKAGES = ("etendue", "numpy", "numba", "scipy", "astropy", "pyarrow", "duckdb", "lsst-daf-butler", "lsst-pipe-base")

_MOST = 200


def gather(reader: Reader) -> dict[str, Any]:
    """Return cameras, nights, exposures, visits, versions, runs and what was refused."""
    home = reader.home
    cameras = [_camera(reader, name) for name in home.cameras()]
    exposures = [record for name in home.cameras() for record in _records(reader, "exposure", name)]
    visits = [record for name in home.cameras() for record in _records(reader, "visit", name)]
    nights = sorted({int(record.day_obs) for record in exposures})
    return {
        "repository": home.path.name,
        "cameras": cameras,
        "nights": [_night(night, exposures, visits) for night in nights],
        "n_exposures": len(exposures),
        "n_visits": len(visits),
        "exposures_by_type": dict(sorted(Counter(str(r.observation_type) for r in exposures).items())),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
        "runs": reader.runs,
        "refused": [
            {"name": Path(r.subject).name, "reason": r.reason, "camera": r.camera, "time": r.time, "subject": r.subject}
            for r in home.refusals.current()
        ],
    }


def _camera(reader: Reader, name: str) -> dict[str, Any]:
    camera = reader.home.camera(name)
    site = camera.observatory
    return {
        "camera": name,
        "description": camera.description,
        "observatory": site.name if site is not None else None,
        "detectors": len(camera.detectors),
        "plate_scale_arcsec": camera.plate_scale,
        "notes": list(camera.notes),
    }


def _records(reader: Reader, element: str, camera: str) -> list[Any]:
    butler = reader.home.butler
    return list(butler.query_dimension_records(element, instrument=camera, explain=False, limit=None))


def _night(night: int, exposures: list[Any], visits: list[Any]) -> dict[str, Any]:
    of_night = [record for record in exposures if record.day_obs == night]
    counts = Counter(str(record.observation_type) for record in of_night)
    filters = Counter(str(r.physical_filter) for r in of_night if r.observation_type == "science")
    return {
        "night": str(night),
        "visits": sum(record.day_obs == night for record in visits),
        "exposures": ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())),
        "filters": ", ".join(f"{name} {count}" for name, count in sorted(filters.items())),
        "targets": ", ".join(sorted({r.target_name for r in of_night if r.observation_type == "science"})),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def present(numbers: dict[str, Any]) -> Section:
    """Return the section of `gather`'s numbers."""
    versions = [f"{name} {version}" for name, version in numbers["versions"].items() if version]
    notes = " ".join(note for camera in numbers["cameras"] for note in camera["notes"])
    cameras = Grid("Cameras", (
        Column("camera", "camera"), Column("description", "description"), Column("observatory", "observatory"),
        Column("detectors", "detectors"), Column("plate_scale_arcsec", "″/px", ".3f"),
    ), numbers["cameras"], note=notes)  # fmt: skip
    nights = Grid("Nights", (
        Column("night", "night"), Column("visits", "visits"), Column("filters", "visits by filter"),
        Column("exposures", "exposures by type"), Column("targets", "targets"),
    ), numbers["nights"], note="Software: " + ", ".join(versions))  # fmt: skip
    refused = Grid(f"Refused: {len(numbers['refused'])}", (
        Column("name", "frame"), Column("camera", "camera"), Column("reason", "reason"), Column("time", "when (UTC)"),
    ), numbers["refused"][:_MOST])  # fmt: skip
    missing = [] if numbers["n_exposures"] else ["No exposure was ingested: “etendue ingest” does it."]
    grids = [grid for grid in (cameras, nights, refused) if grid.rows]
    return Section("observations", "Observations", grids=grids, missing=missing)
