"""What a command has made in a folder, and the process that runs commands; for tests of kills and full disks."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import upkeep_commands
from lsst.daf.butler import DatasetRef

from etendue.alerts.alert_log import AlertLog
from etendue.archive.archive import Archive
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.curated.versions import versions
from etendue.middleware.journal import FINISHED
from etendue.middleware.repository import Repository
from etendue.middleware.router.status import statuses
from etendue.middleware.validity import validities
from etendue.refcat.catalog import ReferenceCatalog

HERE = Path(__file__).parent


class Server:
    """The process that forks one child per command."""

    def __init__(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ETENDUE_FAULTS")}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), environment.get("PYTHONPATH", "")]))
        self.process = subprocess.Popen(
            [sys.executable, HERE / "fault_commands.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment,
        )  # fmt: skip

    def do(self, command: str, folder: Path, armed: str = "") -> int:
        (folder / "fired").mkdir(exist_ok=True)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\t{folder}\t{armed}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


def products(folder: Path) -> dict[str, Any]:
    repository = Repository.open(folder / "repo", writeable=False)
    lines = [line for path in folder.rglob("journal.jsonl") for line in path.read_text().splitlines()]
    ended = [entry["quantum_id"] for entry in map(json.loads, lines) if entry["status"] in FINISHED]
    assert len(ended) == len(set(ended)), "a finished quantum ran again"
    assert all(repository.butler.stored(ref) for ref in all_refs(repository))
    assert not strays(folder, repository)
    return content_hashes(repository, "toy/out", ["measured", "picture", "rows", "total", "note"])


def all_refs(repository: Repository) -> list[DatasetRef]:
    types = repository.butler.registry.queryDatasetTypes()
    runs = [info.name for info in repository.butler.collections.query_info("toy/out/*") if info.type.name == "RUN"]
    return [ref for kind in types for ref in repository.query(kind.name, collections=runs, find_first=False)]


def strays(folder: Path, repository: Repository) -> set[str]:
    """Return the files of the runs that are no dataset."""
    stored = {Path(repository.butler.getURI(ref).ospath) for ref in all_refs(repository)}
    return {path.name for path in (folder / "repo" / "toy" / "out").rglob("*") if path.is_file()} - {
        path.name for path in stored
    }


def raws(folder: Path) -> Any:
    repository = Repository.open(folder / "survey", writeable=False)
    refs = repository.query("raw", collections="simcam/raw/all")
    visits = repository.butler.query_dimension_records("visit_detector_region", instrument="simcam")
    return [float(repository.get(ref).array.mean()) for ref in refs], sorted((r.visit, r.detector) for r in visits)


def cameras(folder: Path) -> Any:
    repository = Repository.open(folder / "survey", writeable=False)
    stored = repository.get("camera", {"instrument": "simcam"}, collections="simcam/calib")
    assert repository.camera("simcam") == stored
    return stored.plate_scale


def validity(folder: Path) -> Any:
    repository = Repository.open(folder / "repo", writeable=False)
    found = repository.butler.registry.queryDatasetAssociations("offset", "toy/certified")
    return sorted((str(a.ref.dataId), a.ref.run, str(a.timespan)) for a in found)


def curated(folder: Path) -> Any:
    repository = Repository.open(folder / "survey", writeable=False)
    rows = validities(repository, "simcam")
    boxes = [repository.get(repository.butler.get_dataset(UUID(row.dataset_id))).to_dict() for row in rows]
    runs = repository.butler.collections.query("simcam/calib/curated/*")
    return (
        [(row.run, str(row.span)) for row in rows],
        boxes,
        sorted(runs),
        [(one.label, one.in_use) for one in versions(repository)],
    )


def patches(folder: Path) -> Any:
    repository = Repository.open(folder / "survey", writeable=False)
    skymap = repository.get("skyMap", {"skymap": "field"}, collections="skymaps")
    return skymap.content_hash(), len(repository.butler.query_dimension_records("patch", skymap="field"))


def stars(folder: Path) -> Any:
    repository = Repository.open(folder / "survey", writeable=False)
    shards = {ref.dataId["htm7"]: repository.get(ref) for ref in repository.query("refcat", collections="refcats")}
    catalog = ReferenceCatalog(folder / "stars").load_cone(ra_deg=150.0, dec_deg=2.0, radius_deg=10.0)
    return {key: table.content_hash() for key, table in shards.items()}, sorted(catalog["id"].tolist())


def published(folder: Path) -> Any:
    archive, log = Archive(folder / "archive"), AlertLog(folder / "alerts")
    ids = archive.query('SELECT "diaSourceId" FROM dia_source ORDER BY 1').column(0).to_pylist()
    return ids, log.keys, len(log)


def page(folder: Path) -> Any:
    text = (folder / "report.html").read_text()
    return text.startswith("<!DOCTYPE html>"), text.rstrip().endswith("</html>")


def frame(folder: Path) -> Any:
    return (folder / "frames" / "frame1_0.fits").read_bytes()


def routed(folder: Path) -> Any:
    replica = Repository.open(folder / "replica", writeable=False)
    collections = ("toy/numbers", "toy/offsets/early", "toy/offsets/late", "toy/labels")
    hashes = {name: content_hashes(replica, name) for name in collections}
    valid = replica.butler.registry.queryDatasetAssociations("offset", "toy/certified")
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in (folder / "files").rglob("*.*")}
    log = (folder / "log").read_text().splitlines()
    with sqlite3.connect(folder / "repo" / "etendue" / "router" / "live" / "stream.sqlite3") as database:
        events = [key for [key] in database.execute("SELECT key FROM event ORDER BY id")]
    kinds = ("number", "offset", "label")
    refs = [
        ref for name in collections for kind in kinds for ref in replica.query(kind, collections=name, find_first=False)
    ]
    known = {Path(replica.butler.getURI(ref).ospath).name for ref in refs}
    assert {path.name for path in (folder / "replica" / "toy").rglob("*.*")} == known, "a killed router left files"
    assert len(set(log)) == len(log), "a command ran twice for one key"
    assert [one.reason for one in statuses(folder / "repo" / "etendue" / "router") if one.state != "off"] == []
    return hashes, sorted(str(a.timespan) + str(a.ref.dataId) for a in valid), files, sorted(log), sorted(events)


STATES: dict[str, Callable[[Path], Any]] = {
    "run": products, "run_in_pool": products, "run_with_failure": products, "ingest": raws, "camera": cameras,
    "certify": validity, "decertify": validity, "curate": curated,
    "skymap": patches, "refcat": stars, "publish": published, "report": page, "route": routed,
    "simulate": frame,
} | upkeep_commands.STATES  # fmt: skip


def said(folder: Path) -> list[str]:
    return [line for line in (folder / "said").read_text().splitlines() if "WARNING" not in line]
