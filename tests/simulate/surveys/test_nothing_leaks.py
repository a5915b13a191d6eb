"""Names, headers and ids of files are the same whatever is true: only pixels tell."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from etendue.refcat.build import build_reference_catalog
from etendue.simulate.surveys.truth_tables import read_survey_truth
from etendue.simulate.surveys.write import write_survey

from .small import SMALL, small

OTHER = {
    "sky": {"galaxies": None, "stars": {"faintest_mag": 19.0, "density": 3.0}, "nuclei": {"count": 5}},
    "telescope": SMALL["telescope"] | {"optics": {"diameter_m": 1.2}, "turbulence": None, "stray": None,
                                       "distortion": {"pointing_arcsec": 20.0, "scale_error": 1e-3}},
    "ccd": {"gain": {"scatter": 0.1}, "read_noise": {"electrons": 20.0}, "bias": {}},
    "conditions": {"seeing_arcsec": 2.0, "cloudy_nights": 1.0, "cloud_mag": 1.0},
    "dust": {"constant_excess": 1.0},
    "area_m2": 0.7,
}  # fmt: skip
OF_PIXELS = {"CHECKSUM", "DATASUM", "ZHECKSUM", "ZDATASUM"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    made = []
    for seed, changes in ((4, {}), (5, OTHER)):
        made.append(tmp_path_factory.mktemp("leak") / "survey")
        write_survey(small(**changes), made[-1], seed=seed)
    return made


def frames(folder: Path) -> dict[str, list[dict[str, object]]]:
    """Return the cards of every unit of every frame."""
    found = {}
    for path in sorted(folder.rglob("*.fits.fz")):
        with fits.open(path) as units:
            found[str(path.relative_to(folder))] = [
                {key: value for key, value in unit.header.items() if key not in OF_PIXELS} for unit in units
            ]
    return found


def test_frames_of_another_sky_telescope_night_and_ccd_have_the_same_names_and_headers(folders):
    one, other = (frames(folder) for folder in folders)
    assert len(one) == 5
    assert one == other


def test_what_is_true_of_them_differs_and_stands_apart(folders):
    truths = [read_survey_truth(folder / "truth") for folder in folders]
    for table, column in (("exposures", "seeing_arcsec"), ("detectors", "zero_point_mag"), ("amplifiers", "gain")):
        assert not np.isclose(truths[0][table][column], truths[1][table][column], rtol=1e-3).any()
    for folder in folders:
        others = {path.name for path in folder.iterdir()} - {"truth"}
        assert others == {"bias", "flat", "raw", "refcat.csv"}


def test_the_reference_catalog_numbers_its_stars_anew_and_knows_no_kind(folders, tmp_path):
    truth = read_survey_truth(folders[0] / "truth")
    catalog = build_reference_catalog(folders[0] / "refcat.csv", tmp_path / "stars")
    stars = catalog.load_cone(ra_deg=330.1, dec_deg=-29.9, radius_deg=1.0)
    number = np.sort(np.asarray(stars["id"]))
    np.testing.assert_array_equal(number, np.arange(number.size) + 1)
    assert not np.isin(number, truth["sources"]["object_id"]).any()
