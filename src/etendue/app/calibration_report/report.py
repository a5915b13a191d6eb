"""Write the page about the calibrations of a run."""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from etendue.app.calibration_report.frames import frame_pictures
from etendue.app.calibration_report.gathered import PRODUCTS, Gathered, gather
from etendue.app.calibration_report.pictures import pictures
from etendue.app.report.render import Heading, render
from etendue.app.report.section import Column, Grid, Section
from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.middleware.repository import Repository

_MOST_ROWS = 400
_COLUMNS = (
    Column("verdict", "verdict"), Column("detector", "detector"), Column("where", "amplifier or filter"),
    Column("what", "number"), Column("value", "value", ".4g"), Column("low", "from", ".3g"),
    Column("high", "to", ".3g"), Column("frames", "frames"), Column("worst", "farthest off"),
)  # fmt: skip


def write_calibration_report(home: Repository, collection: str, path: str | Path) -> Path:
    """Write one HTML file about the calibrations in a collection: failures, then numbers and pictures by product.

    Parameters
    ----------
    home : Repository
        The repository.
    collection : str
        Output of a calibration pipeline.
    path : str or Path
        The file; replaced whole.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the collection holds no calibration, or the file cannot be written.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise InputError("cannot write the report: there is no such folder", source=target,
                         remedy="choose a file in a folder that exists")  # fmt: skip
    gathered = gather(home, collection)
    sections = [_overview(gathered), *(_section(gathered, name) for name in PRODUCTS if gathered.refs[name])]
    page = render(_heading(gathered), _headline(gathered), sections)
    try:
        with whole_file(target, "calibration-report") as part:
            part.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write the report: {error.strerror}", source=target,
                         remedy="choose a file in a folder that exists") from error  # fmt: skip
    return target


def _heading(gathered: Gathered) -> Heading:
    version = importlib.metadata.version("etendue")
    return Heading(f"Calibrations of {gathered.camera.name}", f"{gathered.collection} · etendue {version}",
                   f"Written by etendue {version}. “etendue calib verify REPO {gathered.collection} --json” prints the"
                   " same numbers.")  # fmt: skip


def _headline(gathered: Gathered) -> list[tuple[str, str]]:
    verdicts = gathered.verdicts()
    failed = [row for row in verdicts if not row["passed"]]
    detectors = {int(ref.dataId["detector"]) for refs in gathered.refs.values() for ref in refs}
    tiles = {
        "detectors": len(detectors),
        "products": sum(len(refs) for refs in gathered.refs.values()),
        "numbers judged": len(verdicts),
        "numbers of single frames": sum(len(rows) for rows in gathered.checks.values()),
        "failed": len(failed),
    }
    return [(label, str(value)) for label, value in tiles.items()]


def _overview(gathered: Gathered) -> Section:
    """Return what failed, and how many numbers of each product there are."""
    failed = [row for row in gathered.verdicts() if not row["passed"]]
    judged = {row["product"] for row in gathered.verdicts()}
    rows = []
    for name, heading in PRODUCTS.items():
        mine, refs = gathered.verdicts(name), gathered.refs[name]
        if refs:
            bad = sum(not row["passed"] for row in mine)
            rows.append({"product": heading, "datasets": len(refs), "numbers": len(mine), "bad": bad,
                         "verdict": "failed" if bad else "passed" if mine else "not judged"})  # fmt: skip
    lead = "Every number lies within its limits." if judged and not failed else (
        f"{len(failed)} numbers lie outside their limits: what failed is not certified." if failed else ""
    )  # fmt: skip
    grids = [Grid("Failures", (Column("product", "product"), *_COLUMNS), _rows(failed))] if failed else []
    summary = (Column("product", "product"), Column("verdict", "verdict"), Column("datasets", "datasets"),
               Column("numbers", "numbers"), Column("bad", "of these failed"))  # fmt: skip
    grids.append(Grid("Products", summary, rows))
    missing = [] if judged else ["Nothing was judged in this run: “calib” and “calib_full” do so at their end."]
    return Section("overview", "Verdicts", lead, grids=grids, missing=missing)


def _section(gathered: Gathered, product: str) -> Section:
    verdicts = gathered.verdicts(product)
    failed = sum(not row["passed"] for row in verdicts)
    lead = f"{failed} of {len(verdicts)} numbers failed." if verdicts else "Not judged."
    note = "" if len(verdicts) <= _MOST_ROWS else f"The first {_MOST_ROWS} of {len(verdicts)}, failures first."
    grids = [Grid("Numbers and limits", _COLUMNS, _rows(verdicts[:_MOST_ROWS]), note)] if verdicts else []
    return Section(product, PRODUCTS[product], lead, grids=grids,
                   pictures=[*pictures(gathered, product), *frame_pictures(gathered, product)])  # fmt: skip


def _rows(verdicts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"verdict": "passed" if row["passed"] else "failed",
                   "frames": row.get("frames") or None} for row in verdicts]  # fmt: skip
