"""Commands that write, each safe to repeat, run in processes that may be killed: a child per line read from stdin.

Usage: python fault_commands.py, then lines ``COMMAND<tab>FOLDER<tab>FAULTS``; answers with the exit status of each.
"""

import importlib
import os
import sys
import traceback
from pathlib import Path

import click
import numpy as np
import upkeep_commands
from frames import CAMERA, write_frame
from lsst.daf.butler import CollectionType
from toy_survey import INPUTS

from etendue import faults
from etendue.alerts.alert_log import AlertLog
from etendue.alerts.package import package_alerts
from etendue.app.report.report import write_report
from etendue.archive.archive import Archive
from etendue.cli.main import main
from etendue.geom.skymap import SingleTractSkyMap
from etendue.middleware.calibrations import certify as certify_types
from etendue.middleware.calibrations import decertify as end_validity
from etendue.middleware.curated.versions import load_curated
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.refcats import register_refcat
from etendue.middleware.repository import Repository
from etendue.middleware.router.router import Router
from etendue.middleware.router.rules import Rules
from etendue.refcat.build import build_reference_catalog
from etendue.table.table import Table

PRELOADED = ("toy_steps", "etendue.image.fits_exposure", "etendue.table.parquet")  # or every child imports them
DRAWINGS = Path(__file__).with_name("toy_drawings.yaml")
WHERE = "detector = 1 AND exposure IN (1, 2)"


def run(folder: Path, workers: int = 1, *overrides: str) -> None:
    repository = Repository.open(folder / "repo")
    run_pipeline(
        repository, DRAWINGS, inputs=INPUTS, output="toy/out", where=WHERE, workers=workers, resume=True,
        progress=False, overrides=overrides,
    )  # fmt: skip


def run_in_pool(folder: Path) -> None:
    run(folder, 2)


def run_with_failure(folder: Path) -> None:
    run(folder, 1, "measure:broken=[2]")


def ingest(folder: Path) -> None:
    repository = Repository.open(folder / "survey")
    repository.ingest(sorted((folder / "raw").iterdir()))
    repository.define_visits()


def camera(folder: Path) -> None:
    changed = CAMERA.model_copy(update={"plate_scale": 0.4})
    Repository.open(folder / "survey").register_camera(changed, update=True)


def certify(folder: Path) -> None:
    repository = Repository.open(folder / "repo")
    with repository.writing() as butler:
        butler.collections.register("toy/certified", CollectionType.CALIBRATION)
        certify_types(butler, ["offset"], run="toy/offsets/late", collection="toy/certified", replace=True)


def decertify(folder: Path) -> None:
    repository = Repository.open(folder / "repo")
    with repository.writing() as butler:
        end_validity(butler, ["offset"], collection="toy/certified", detectors=[1], end_mjd_tai=60002.0)


def curate(folder: Path) -> None:
    place = folder / "kept" / "simcam" / "defects" / "S00"
    place.mkdir(parents=True, exist_ok=True)
    for year in (2025, 2026):
        (place / f"{year}0101T000000.yaml").write_text(f"boxes: [{{x0: {year - 2000}, y0: 0, width: 1, height: 9}}]\n")
    load_curated(Repository.open(folder / "survey"), folder / "kept", label="first")


def skymap(folder: Path) -> None:
    skymap = SingleTractSkyMap(ra_deg=150.0, dec_deg=2.0, half_size_deg=0.3, pixel_scale=0.5, patch_size=1000)
    Repository.open(folder / "survey").register_skymap(skymap, "field")


def refcat(folder: Path) -> None:
    (folder / "stars.csv").write_text("id,ra,dec,r_mag\n1,150.0,2.0,17\n2,153.0,2.0,18\n3,150.0,5.0,17\n")
    catalog = build_reference_catalog(folder / "stars.csv", folder / "stars", overwrite=True)
    register_refcat(Repository.open(folder / "survey"), catalog)


def detections(visit: int) -> Table:
    n = 40
    return Table("dia_source", {
        "diaSourceId": np.arange(n) + 1000 * visit, "visit": np.full(n, visit), "detector": np.zeros(n, int),
        "band": ["r"] * n, "diaObjectId": np.arange(n), "midpointMjdTai": np.full(n, 60949.1),
        "ra": 150.0 + np.arange(n), "dec": np.full(n, -2.0), "x": np.arange(n), "y": np.arange(n),
        "psfFlux": np.full(n, 500.0), "psfFluxErr": np.full(n, 10.0), "snr": np.full(n, 50.0),
    })  # fmt: skip


def publish(folder: Path) -> None:
    archive, log = Archive(folder / "archive", max_rows=10), AlertLog(folder / "alerts")
    for visit in (1, 2):
        archive.publish("dia_source", [detections(visit)], key=f"visit {visit}")
        log.publish(package_alerts(visit=visit, detector=0, dia_sources=detections(visit)))


ROUTES = """
sinks:
  replica: {kind: repository, path: replica}
  files: {kind: directory, path: files, layout: "{exposure}_{detector}", retention: {gigabytes: 5.0e-9}}
  live: {kind: stream}
  log: {kind: command, command: [sh, -c, 'echo "$ETENDUE_KEY" >> "$0"', FOLDER/log], parallel: 2}
rules:
  - {name: everything, datasets: "*", sinks: [replica, live]}
  - {name: numbers, datasets: number, where: "exposure < 4", sinks: files}
  - {name: offsets, datasets: offset, sinks: log}
"""


def route(folder: Path) -> None:
    (folder / "files").mkdir(exist_ok=True)
    path = folder / "routes.yaml"
    path.write_text(ROUTES.replace("FOLDER", str(folder)))
    Router(Repository.open(folder / "repo", writeable=False), Rules.read(path), path).run(once=True)


def report(folder: Path) -> None:
    write_report(Repository.open(folder / "survey", writeable=False), folder / "report.html")


def simulate(folder: Path) -> None:
    write_frame(folder / "frames", 1, "science")


COMMANDS = {
    command.__name__: command
    for command in (
        run, run_in_pool, run_with_failure, ingest, camera, certify, decertify, curate,
        skymap, refcat, publish, report, route, simulate,
    )
} | upkeep_commands.COMMANDS  # fmt: skip


def _child(name: str, folder: Path, armed: str) -> None:
    """Do what the command line does with errors: one line and a status."""
    faults.arm(armed, str(folder / "fired"))
    sys.stdout = sys.stderr = (folder / "said").open("w")
    main.add_command(click.Command("it", callback=lambda: COMMANDS[name](folder)))
    main(["it"], prog_name="etendue")


def serve() -> None:
    for module in PRELOADED:
        importlib.import_module(module)
    for line in sys.stdin:
        name, folder, armed = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            try:
                _child(name, Path(folder), armed)
            except SystemExit as end:
                sys.stdout.flush()
                os._exit(end.code if isinstance(end.code, int) else 0)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(3)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
