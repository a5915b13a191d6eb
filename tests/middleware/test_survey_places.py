"""A survey is calibrated and processed on PostgreSQL with its files on S3 to the same products as in one folder."""

from pathlib import Path

import pytest

from etendue.app.quickstart import lay_out_sky
from etendue.camera.shipped import load_camera
from etendue.middleware.configuration import Places
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.refcats import REFCATS, register_refcat
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.check import check
from etendue.refcat.build import build_reference_catalog
from etendue.simulate.surveys.write import write_survey
from etendue.tasks.readout.calibrations import CALIBRATION_TYPES
from small_surveys import small_survey

pytestmark = pytest.mark.slow
PRODUCTS = (
    "bias", "flat", "ptc", "defects", "visit_image", "source", "joint_calibration", "isolated_star", "visit_summary",
    "deep_coadd", "object", "forced_source",
)  # fmt: skip


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("survey")
    # Written by processes: the server that forked them was started without the variables of the bucket, and lives on.
    write_survey(small_survey("rr", bias=3, flat=3, stars=0.2), folder / "frames", workers=2)
    build_reference_catalog(folder / "frames" / "refcat.csv", folder / "refcat")
    return folder


def processed(home: Repository, folder: Path, workers: int) -> dict[str, str]:
    camera = load_camera("simcam")
    home.register_camera(camera)
    outcomes = home.ingest(sorted((folder / "frames").rglob("*.fits.fz")), camera="simcam", transfer="copy")
    assert {outcome.status for outcome in outcomes} == {"ingested"}
    assert all(visit.defined for visit in home.define_visits("simcam"))
    run(home, "calib", ["simcam/defaults"], "simcam/calibrations", "instrument='simcam'", workers)
    home.certify(CALIBRATION_TYPES, run="simcam/calibrations", camera="simcam")
    lay_out_sky(home, camera)
    register_refcat(home, build_reference_catalog(folder / "frames" / "refcat.csv", folder / "refcat", overwrite=True))
    where = "instrument='simcam' AND skymap='field'"
    run(home, "drp", ["simcam/defaults", REFCATS], "simcam/drp", where, workers)
    return content_hashes(home, "simcam/calibrations", PRODUCTS[:4]) | content_hashes(home, "simcam/drp", PRODUCTS[4:])


def run(home: Repository, pipeline: str, inputs: list[str], output: str, where: str, workers: int) -> None:
    report = run_pipeline(home, pipeline, inputs=inputs, output=output, where=where, workers=workers, progress=False)
    assert not [outcome for outcome in report.outcomes if outcome.status in ("failed", "skipped")]


def test_postgresql_and_s3_make_the_products_of_one_folder(frames, tmp_path, postgres, bucket):
    here = processed(Repository.create(tmp_path / "here"), frames, 1)
    home = Repository.create(tmp_path / "there", Places(database=postgres.new_database(), files="s3://survey/night"))
    there = processed(home, frames, 2)
    assert {key.split(" ")[0] for key in here} == set(PRODUCTS)
    assert there == here
    assert check(home, depth="open", workers=2).ok
