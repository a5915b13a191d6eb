"""The thread from raw frames to objects on a tiny simulated survey, against its truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from etendue.app.quickstart import lay_out_sky
from etendue.camera.shipped import load_camera
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.refcats import REFCATS, register_refcat
from etendue.middleware.repository import Repository
from etendue.middleware.run_report import RunReport
from etendue.refcat.build import build_reference_catalog
from etendue.simulate.population.layer import kind_of
from etendue.simulate.surveys.presets import load_survey
from etendue.simulate.surveys.truth_tables import SurveyTruth
from etendue.simulate.surveys.write import write_survey
from etendue.table.table import Table
from etendue.tasks.match.sky import MatchSkyConfig, MatchSkyTask
from etendue.tasks.readout.calibrations import CALIBRATION_TYPES
from small_surveys import RA_DEG

pytestmark = pytest.mark.slow
MAS_PER_DEG = 3.6e6


@dataclass(frozen=True)
class Survey:
    home: Repository
    truth: SurveyTruth
    runs: tuple[RunReport, ...]


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    folder = tmp_path_factory.mktemp("smoke")
    truth = write_survey(load_survey("smoke"), folder / "frames")
    home, camera = Repository.create(folder / "repo"), load_camera("simcam")
    home.register_camera(camera)
    home.ingest(sorted((folder / "frames").rglob("*.fits.fz")), camera="simcam", transfer="direct")
    home.define_visits("simcam")
    calib = run(home, "calib", ["simcam/defaults"], "simcam/calibrations", "instrument='simcam'")
    home.certify(CALIBRATION_TYPES, run=calib.run, camera="simcam")
    lay_out_sky(home, camera)
    assert register_refcat(home, build_reference_catalog(folder / "frames" / "refcat.csv", folder / "refcat")) > 0
    where = "instrument='simcam' AND skymap='field'"
    drp = run(home, "drp", ["simcam/defaults", REFCATS], "simcam/drp", where)
    return Survey(home, truth, (calib, drp))


def run(home: Repository, pipeline: str, inputs: list[str], output: str, where: str) -> RunReport:
    return run_pipeline(home, pipeline, inputs=inputs, output=output, where=where, workers=1, progress=False)


def tables(survey: Survey, name: str) -> list[Table]:
    return [survey.home.get(ref) for ref in survey.home.query(name, collections="simcam/drp")]


def stars_and_truth(survey: Survey) -> tuple[Table, dict[str, np.ndarray]]:
    """Return good measurements of stars over all visits, and the truth of each."""
    measured, rows = [], []
    for table in tables(survey, "source"):
        here = np.flatnonzero((survey.truth["sources"]["visit"] == table["visit"][0]) & is_star(survey))
        match = MatchSkyTask(MatchSkyConfig(radius_arcsec=1.0)).run(
            ra1_deg=table["ra"], dec1_deg=table["dec"],
            ra2_deg=survey.truth["sources"]["ra"][here], dec2_deg=survey.truth["sources"]["dec"][here],
        )  # fmt: skip
        bad = [table[f"pixelFlags_{name}"] for name in ("saturated", "bad", "edge", "interpolated")]
        good = ~np.logical_or.reduce([*bad, table["psfFlux_flag"], table["centroid_flag"]])[match.first]
        measured.append(table.take(match.first[good]))
        rows.append(here[match.second[good]])
    picked = np.concatenate(rows)
    return Table.concat(measured), {name: column[picked] for name, column in survey.truth["sources"].items()}


def is_star(survey: Survey) -> np.ndarray:
    """Tell which true sources are constant stars."""
    return kind_of(survey.truth["sources"]["object_id"]) == "stars"


def width(values: np.ndarray) -> float:
    low, high = np.percentile(values, [15.87, 84.13])
    return float(high - low) / 2.0


def test_every_quantum_succeeds(survey):
    problems = [(o.label, o.message) for run in survey.runs for o in run.outcomes if o.status != "succeeded"]
    assert problems == []


def test_positions_are_the_true_ones_within_their_errors(survey):
    found, truth = stars_and_truth(survey)
    assert len(found) > 600
    use = (found["snr"] > 20) & (found["snr"] < 200)
    for axis, scale in (("ra", np.cos(np.radians(truth["dec"]))), ("dec", 1.0)):
        offset = (np.asarray(found[axis], float) - truth[axis]) * scale
        assert abs(np.median(offset[use])) * MAS_PER_DEG < 5.0  # the reference catalog's own errors
        assert 0.8 < width((offset / found[f"{axis}Err"])[use]) < 1.3


def test_fluxes_are_the_true_ones_within_their_errors(survey):
    found, truth = stars_and_truth(survey)
    bright = found["snr"] > 50
    ratio = np.asarray(found["psfFlux"], float) / truth["flux_njy"]
    assert np.median(ratio[bright]) == pytest.approx(1.0, abs=0.004)
    assert width(ratio[bright]) < 0.02
    use = (found["snr"] > 15) & (found["snr"] < 100)
    pull = (np.asarray(found["psfFlux"], float) - truth["flux_njy"]) / found["psfFluxErr"]
    assert 0.8 < width(pull[use]) < 1.35


def test_the_zero_point_is_absolute_and_the_seeing_that_of_the_visit(survey):
    for summary in tables(survey, "visit_summary"):
        assert summary["photoCalibKind"][0] == "absolute"
        truth = survey.truth["detectors"]
        visit = int(np.flatnonzero(truth["visit"] == summary["visit"][0])[0])
        assert summary["zeroPoint"][0] == pytest.approx(truth["zero_point_mag"][visit], abs=0.03)
        # The matched Gaussian is wider than the half maximum of a profile with wings.
        assert 1.0 < summary["seeing"][0] / truth["seeing"][visit] < 1.3


def test_most_stars_are_found_and_few_sources_are_none(survey):
    sources = survey.truth["sources"]
    for table in tables(survey, "source"):
        here = sources["visit"] == table["visit"][0]
        bright = here & is_star(survey) & (sources["mag"] < 21.0)
        match = MatchSkyTask(MatchSkyConfig(radius_arcsec=1.0)).run(
            ra1_deg=sources["ra"][bright], dec1_deg=sources["dec"][bright], ra2_deg=table["ra"], dec2_deg=table["dec"]
        )
        assert match.first.size > 0.9 * bright.sum()
        anything = MatchSkyTask(MatchSkyConfig(radius_arcsec=1.5)).run(
            ra1_deg=table["ra"], dec1_deg=table["dec"], ra2_deg=sources["ra"][here], dec2_deg=sources["dec"][here]
        )
        assert anything.first.size > 0.85 * len(table)


def test_the_coadd_has_objects_and_every_visit_their_forced_fluxes(survey):
    objects = Table.concat(tables(survey, "object"))
    assert np.unique(objects["objectId"]).size == len(objects)
    forced = tables(survey, "forced_source")
    assert len(forced) == 3
    assert all(np.isin(table["objectId"], objects["objectId"]).all() for table in forced)


def test_files_open_without_etendue(survey: Survey) -> None:
    ref = survey.home.query("visit_image", collections="simcam/drp")[0]
    path = Path(survey.home.butler.getURI(ref).ospath)
    from astropy.io import fits
    from astropy.wcs import WCS

    with fits.open(path) as hdus:
        sky = WCS(hdus["IMAGE"].header).pixel_to_world(512.0, 512.0)
    assert sky.ra.deg == pytest.approx(RA_DEG, abs=0.2)
