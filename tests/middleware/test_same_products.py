"""The shipped data release pipeline makes the same products here, in a pool, on sites, and by the stock command."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.slurm import slurm_cluster

import etendue.stages
from etendue.app.quickstart import lay_out_sky
from etendue.camera.shipped import load_camera
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.execution.limits import Limits
from etendue.middleware.refcats import REFCATS, register_refcat
from etendue.middleware.repository import Repository
from etendue.middleware.sites.site import Site
from etendue.refcat.build import build_reference_catalog
from etendue.simulate.surveys.write import write_survey
from etendue.tasks.readout.calibrations import CALIBRATION_TYPES
from small_surveys import small_survey

pytestmark = pytest.mark.slow
INPUTS, WHERE = ["simcam/defaults", REFCATS], "instrument='simcam' AND skymap='field'"
PRODUCTS = {
    "preliminary_visit_image", "single_visit_star", "joint_calibration", "isolated_star", "visit_image", "source",
    "visit_summary", "direct_warp", "deep_coadd", "object", "forced_source",
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Return two simulated visits, calibrated, in a repository."""
    folder, camera = tmp_path_factory.mktemp("pipetask"), load_camera("simcam")
    write_survey(small_survey("rr", bias=3, flat=3, stars=0.2), folder / "frames")
    repository = Repository.create(folder / "repo")
    repository.register_camera(camera)
    repository.ingest(sorted((folder / "frames").rglob("*.fits.fz")), camera="simcam", transfer="direct")
    repository.define_visits("simcam")
    calib = run_pipeline(
        repository, "calib", inputs=["simcam/defaults"], output="simcam/calibrations", where="instrument='simcam'",
        workers=1, progress=False,
    )  # fmt: skip
    repository.certify(CALIBRATION_TYPES, run=calib.run, camera="simcam")
    lay_out_sky(repository, camera)
    register_refcat(repository, build_reference_catalog(folder / "frames" / "refcat.csv", folder / "refcat"))
    return repository


@pytest.fixture(scope="module")
def stock(home: Repository) -> dict[str, str]:
    """Return the content hashes of what ``pipetask run`` makes."""
    command = [
        str(Path(sys.executable).with_name("pipetask")), "run", "-b", home.root, "-i", ",".join(INPUTS), "-o",
        "stock/drp", "-p", str(Path(etendue.stages.__file__).with_name("pipelines") / "drp.yaml"), "-d", WHERE,
        "--register-dataset-types", "--no-raise-on-partial-outputs",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return content_hashes(Repository.open(home.path), "stock/drp", sorted(PRODUCTS))


@pytest.fixture(scope="module")
def here(home: Repository) -> dict[str, str]:
    """Return the content hashes of what this process makes."""
    return made(home, "ours/here", workers=1)


def made(home: Repository, output: str, **how: Any) -> dict[str, str]:
    """Run the pipeline into an output; return the content hashes of all its products."""
    report = run_pipeline(home, "drp", inputs=INPUTS, output=output, where=WHERE, progress=False, **how)
    assert not [outcome for outcome in report.outcomes if outcome.status in ("failed", "skipped")]
    return content_hashes(home, output, sorted(PRODUCTS))


def test_one_sky_of_a_visit_is_fitted_and_used(home, here):
    report = run_pipeline(
        home, "drp_visit_sky", inputs=INPUTS, output="ours/sky", where=WHERE, workers=1, progress=False
    )
    assert not [outcome for outcome in report.outcomes if outcome.status in ("failed", "skipped")]
    skies = [home.butler.get(ref) for ref in home.query("visit_sky", collections="ours/sky")]
    assert [list(sky["detectors"]) for sky in skies] == [["0"], ["0"]]
    sources = [
        {ref.dataId["visit"]: home.butler.get(ref) for ref in home.query("source", collections=f"ours/{run}")}
        for run in ("sky", "here")
    ]
    for visit in sources[0]:
        fluxes = [np.nanmedian(np.asarray(side[visit]["psfFlux"])) for side in sources]
        assert fluxes[0] == pytest.approx(fluxes[1], rel=0.1)
        assert fluxes[0] != fluxes[1]


def test_the_extinction_of_a_night_follows_from_its_summaries(home, here):
    run_pipeline(
        home, "extinction", inputs=["ours/here"], output="ours/extinction", where="instrument='simcam'", workers=1,
        progress=False, overrides=["measure_extinction:night.min_clear=2"],
    )  # fmt: skip
    (ref,) = home.query("night_extinction", collections="ours/extinction")
    found = home.butler.get(ref)
    assert 24.0 < found["nominal_zero_point"] < 27.0
    assert [visit["clear"] for visit in found["visits"]] == [True, True]


def test_every_product_of_pipetask_is_ours(here, stock):
    assert {key.split(" ")[0] for key in stock} == PRODUCTS
    assert here == stock


@pytest.mark.parametrize("workers", [2, *(pytest.param(n, marks=pytest.mark.thorough) for n in (1, 4))])
def test_a_pool_makes_the_same_products(home, here, workers):
    watched = Limits(time_s=3600.0)  # needs a pool even for one worker
    assert made(home, f"ours/{workers}", workers=workers, limits=watched) == here


@pytest.mark.services
def test_a_local_site_makes_the_same_products(home, here):
    pytest.importorskip("parsl")
    assert made(home, "ours/parsl", site=Site(provider="local", workers_per_node=2)) == here


@pytest.mark.services
def test_jobs_of_slurm_make_the_same_products(home, here, tmp_path, monkeypatch):
    pytest.importorskip("parsl")
    with slurm_cluster(tmp_path) as variables:
        monkeypatch.setenv("SLURM_CONF", variables["SLURM_CONF"])
        site = Site(provider="slurm", partition="main", workers_per_node=2, walltime="00:10:00", address="127.0.0.1",
                    start_timeout_s=180.0)  # fmt: skip
        assert made(home, "ours/slurm", site=site) == here
