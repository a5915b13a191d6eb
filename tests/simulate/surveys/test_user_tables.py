"""A survey whose sky is the user's own tables: of any kind, beside its YAML file."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from etendue.cli.main import main
from etendue.errors import InputError
from etendue.simulate.population.layer import kind_of
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.observer import observe_from
from etendue.simulate.surveys.planned import planned
from etendue.simulate.surveys.presets import load_survey
from etendue.simulate.surveys.refcat import make_refcat
from etendue.simulate.surveys.scene import make_scene
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.surveys.truth_tables import object_tables, read_survey_truth

from .small import SMALL

RA, DEC = 330.19, -29.91  # on detector 0 of the small survey
TABLES = {
    "stars.csv": f"ra,dec,mag_g,mag_r\n{RA},{DEC},17.5,17\n{RA + 0.01},{DEC},18,\n",
    "galaxies.csv": f"name,ra,dec,mag_g,mag_r,half_light,sersic\nspiral,{RA},{DEC + 0.01},18,17.5,2.0,1.0\n",
    "variables.csv": f"kind,ra,dec,mag_r\nrr_lyrae,{RA},{DEC + 0.02},17\n",
    "objects.csv": f"ra,dec,curve\n{RA - 0.01},{DEC},one\n",
    "curves.csv": "curve,band,day,mag\none,r,60000,17\none,r,62000,17\none,g,60000,17\none,g,62000,17\n",
    "transients.csv": f"kind,ra,dec,redshift,reference_mjd_tai\nsn_ia,{RA - 0.01},{DEC + 0.01},0.02,60945\n",
    "nuclei.csv": f"ra,dec,redshift,mag_i\n{RA - 0.01},{DEC + 0.02},1.5,18\n",
}
HOLDS = {"variables.csv": "variables", "transients.csv": "transients", "nuclei.csv": "nuclei"}


def mine(folder: Path, **sky: object) -> Path:
    """Write a survey and its tables."""
    for name, text in TABLES.items():
        (folder / name).write_text(text)
    tables = [{"path": "stars.csv"}, {"path": "galaxies.csv"}]
    tables += [{"holds": holds, "path": name} for name, holds in HOLDS.items()]
    tables += [{"holds": "light_curves", "path": "objects.csv", "curves": "curves.csv"}]
    content = SMALL | {"sky": {"stars": None, "galaxies": None, "tables": tables} | sky}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    return Survey.plan(load_survey(mine(tmp_path_factory.mktemp("mine"))), seed=1)


def test_objects_of_every_table_shine_on_the_detector(survey):
    scene = make_scene(survey, survey.exposures[0], survey.detectors[0])
    kinds, counts = np.unique(kind_of(scene.sources["object_id"]), return_counts=True)
    assert dict(zip(kinds.tolist(), counts.tolist(), strict=True)) == {
        "agn": 1, "curves": 1, "table": 2, "transients": 1, "variables": 1,
    }  # fmt: skip
    curve = kind_of(scene.sources["object_id"]) == "curves"
    assert scene.sources["mag"][curve] == pytest.approx(17.0)


def test_a_star_without_light_in_a_band_is_not_drawn_in_it_and_has_no_magnitude_in_the_catalog(survey):
    blue = next(exposure for exposure in survey.exposures if exposure.band == "g")
    sources = make_scene(survey, blue, survey.detectors[0]).sources
    assert np.sum(kind_of(sources["object_id"]) == "table") == 3
    catalog = make_refcat(survey)  # of points
    order = np.argsort(catalog["g_mag"])
    np.testing.assert_allclose(catalog["g_mag"][order], [17.5, 18.0], atol=0.05)
    assert np.isfinite(catalog["r_mag"][order]).tolist() == [True, False]


def test_tables_of_different_columns_share_one_truth(survey):
    table = object_tables(survey)["objects_table"]
    assert table["name"].tolist() == ["", "", "spiral"]
    assert np.unique(table["object_id"]).size == 3


def test_a_worker_process_finds_the_tables_from_elsewhere(survey, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    again = planned(survey.spec, 1)
    assert [layer.name for layer in again.layers] == [layer.name for layer in survey.layers]


def test_a_band_that_a_table_lacks_is_said_before_anything_is_drawn(tmp_path):
    path = mine(tmp_path)
    (tmp_path / "stars.csv").write_text(f"ra,dec,mag_r\n{RA},{DEC},17\n")
    with pytest.raises(InputError, match=r"stars.csv: no column mag_g .*name it in rename"):
        Survey.plan(load_survey(path))


def test_spectra_give_the_bands_that_a_table_lacks(tmp_path):
    path = mine(tmp_path, tables=[{"path": "stars.csv", "spectra": "seds.txt"}])
    (tmp_path / "stars.csv").write_text(f"ra,dec,mag_r,spectrum\n{RA},{DEC},17,0\n{RA + 0.01},{DEC},17,1\n")
    wave = np.arange(300.0, 1200.0, 5.0)
    blue_red = np.column_stack([wave, (wave / 620.0) ** -4, (wave / 620.0) ** 2])
    np.savetxt(tmp_path / "seds.txt", blue_red)
    survey = Survey.plan(load_survey(path))
    green = next(exposure for exposure in survey.exposures if exposure.band == "g")
    found = make_scene(survey, green, survey.detectors[0]).sources
    order = np.argsort(found["object_id"])
    assert found["mag"][order][0] < 16.7 < 17.3 < found["mag"][order][1]
    assert found["wavelength_nm"][order][0] < found["wavelength_nm"][order][1] - 5.0
    (tmp_path / "stars.csv").write_text(f"ra,dec,mag_r,spectrum\n{RA},{DEC},17,2\n")
    with pytest.raises(InputError, match="column spectrum, row 0: not possible"):
        Survey.plan(load_survey(path))


def test_orbits_and_satellites_of_tables_move(tmp_path):
    drawn = Survey.plan(SurveySpec.parse(SMALL, "small"), 4)
    truth = next(layer.objects for layer in drawn.layers if layer.name == "moving")
    pq.write_table(pa.table({name: pa.array(column) for name, column in truth.items()}), tmp_path / "orbits.parquet")
    exposure = drawn.exposures[0]
    up = observe_from(exposure.mjd_tai_mid, drawn.camera.observatory).geocentric_au
    node = np.degrees(np.arctan2(up[1], up[0]))
    (tmp_path / "satellites.csv").write_text(
        "epoch_mjd_utc,mean_motion_rev_day,inclination_deg,node_deg,peri_deg,mean_anomaly_deg\n"
        f"{exposure.mjd_tai_mid - 37 / 86400},1.0027,0.0,{node},0,0\n"
    )
    tables = [{"holds": "orbits", "path": "orbits.parquet"}, {"holds": "satellites", "path": "satellites.csv"}]
    survey = Survey.plan(load_survey(mine(tmp_path, tables=tables)), seed=9)
    one, other = (make_scene(s, exposure, s.detectors[0]).sources for s in (drawn, survey))
    ours, theirs = (np.sort(s["x"][kind_of(s["object_id"]) == "moving"]) for s in (one, other))
    np.testing.assert_allclose(theirs, ours, atol=0.01)
    layer = next(layer for layer in survey.layers if layer.name == "satellites")
    assert np.linalg.norm(layer.satellites.positions_km(np.zeros(1))[0]) == pytest.approx(42164.0, abs=30.0)
    overhead = Moment(
        survey.bandpasses["r"], exposure.mjd_tai_mid, 30.0, node % 360.0, 4.9, 4.0, drawn.camera.observatory
    )
    rates = np.hypot(layer.lights(overhead).rate_ra, layer.lights(overhead).rate_dec) / 3600.0
    assert rates.sum() == pytest.approx(15.0, rel=0.02)  # of pieces, each over the exposure


def test_an_unknown_kind_of_table_is_refused_by_name():
    sky = {"tables": [{"holds": "planets", "path": "x.csv"}]}
    with pytest.raises(InputError, match=r"sky.tables.0.*planets.*'orbits'"):
        SurveySpec.parse(SMALL | {"sky": sky}, "small")


@pytest.mark.slow
def test_the_command_writes_a_survey_of_tables_and_names_what_is_wrong_with_one(tmp_path):
    path = mine(tmp_path)
    result = CliRunner().invoke(main, ["simulate", str(path), str(tmp_path / "out"), "--json", "-j", "2"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["objects"] == {
        "agn": 1, "curves": 1, "table": 3, "transients": 1, "variables": 1,
    }  # fmt: skip
    truth = read_survey_truth(tmp_path / "out" / "truth")
    assert set(truth["light_curves"]["kind"].tolist()) == {"agn", "curves", "transients", "variables"}
    (tmp_path / "variables.csv").write_text("kind,ra,dec,mag_r\npulsar,1,2,17\n")
    again = CliRunner().invoke(main, ["simulate", str(path), str(tmp_path / "other")])
    assert again.exit_code == 1
    lines = [line for line in again.output.splitlines() if line.strip()]
    for word in ("error:", "variables.csv", "column kind, row 0", "'pulsar'", "rr_lyrae"):
        assert word in lines[-1]
