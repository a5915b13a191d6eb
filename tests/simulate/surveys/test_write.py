"""A written survey is the same for any number of processes, and its truth is read back."""

import filecmp

import numpy as np
import pytest

from etendue.camera.raw import read_raw
from etendue.camera.shipped import load_camera
from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.refcat.build import build_reference_catalog
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.truth_tables import read_survey_truth
from etendue.simulate.surveys.write import write_survey

from .small import small


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("survey")
    told = []
    write_survey(small(), path, seed=4, tell=lambda done, total: told.append((done, total)))
    assert told == [(k, 5) for k in range(1, 6)]
    return path


def test_raw_frames_go_where_they_belong(folder):
    counts = {kind: len(list((folder / kind).iterdir())) for kind in ("bias", "flat", "raw")}
    assert counts == {"bias": 1, "flat": 2, "raw": 2}
    raw = read_raw(min((folder / "raw").iterdir()), load_camera("simcam"))
    assert raw.info.observation_type == "science"
    assert raw.array.dtype == np.uint16


def test_the_truth_is_read_back(folder):
    truth = read_survey_truth(folder / "truth")
    kinds = ("stars", "galaxies", "variables", "moving")
    expected = {"sources", "exposures", "detectors", "cosmic_rays", "amplifiers", "crosstalk", "light_curves"}
    assert expected | {"ephemerides", *(f"objects_{kind}" for kind in kinds)} <= set(truth.tables)
    assert truth["exposures"]["band"].tolist() == ["r", "g"]
    assert truth["detectors"]["visit"].tolist() == truth["exposures"]["exposure"].tolist()
    seen = np.isin(truth["sources"]["object_id"], truth["objects_stars"]["object_id"])
    assert seen.sum() > 50
    assert np.unique(truth["light_curves"]["kind"]).tolist() == ["variables"]
    assert set(truth["light_curves"]["object_id"].tolist()) <= set(truth["objects_variables"]["object_id"].tolist())


def test_the_reference_catalog_holds_the_bright_stars_with_small_errors(folder, tmp_path):
    truth = read_survey_truth(folder / "truth")
    catalog = build_reference_catalog(folder / "refcat.csv", tmp_path / "stars")
    assert set(catalog.bands) == {"g", "r"}
    stars = catalog.load_cone(ra_deg=330.1, dec_deg=-29.9, radius_deg=1.0)
    field = truth["sources"]
    rows = (
        np.isin(field["object_id"], truth["objects_stars"]["object_id"])
        & (field["mag"] < 19.0)
        & (field["band"] == "r")
    )
    for ra, dec in zip(field["ra"][rows][:30], field["dec"][rows][:30], strict=True):
        assert 3600.0 * separation_deg(ra, dec, np.asarray(stars["ra"]), np.asarray(stars["dec"])).min() < 0.05


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(folder, tmp_path):
    write_survey(small(), tmp_path, seed=4, workers=2)
    names = [p.relative_to(folder) for p in folder.rglob("*") if p.is_file()]
    assert len(names) > 15
    assert filecmp.cmpfiles(folder, tmp_path, names, shallow=False)[0] == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "is not YAML"),
        ("- 1", "holds no survey"),
        ("name: x", "cadence"),
        ("name: x\ncadence: {fields: [{ra_deg: 400, dec_deg: 0}], nights: [{day: 0, bands: r}]}", r"ra_deg"),
        ("name: x\ncadence: {exposures: [{mjd_tai: 60949.1, band: r, ra_deg: 1, dec_deg: 1}]}\nskyy: {}", "skyy"),
    ],
)
def test_what_is_wrong_with_a_survey_is_said_in_one_line(text, words, tmp_path):
    (tmp_path / "survey.yaml").write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        SurveySpec.read(tmp_path / "survey.yaml")
    assert "\n" not in str(caught.value)


def test_a_folder_without_truth_is_refused(tmp_path):
    with pytest.raises(InputError, match="no truth"):
        read_survey_truth(tmp_path)
