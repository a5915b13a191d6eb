"""The footprint of a simulated survey counts its visits."""

import numpy as np
import pytest

from etendue.app.survey_preview_counts import clustering, count_panels
from etendue.app.survey_preview_sky import coverage
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.survey import Survey

CONTENT = {
    "name": "counted", "camera": "simcam9", "area_m2": 2.0,
    "cadence": {
        "fields": [{"ra_deg": 52.0, "dec_deg": -28.0}], "start": "2025-10-14", "rotation": "random",
        "nights": [{"day": 0, "bands": "rri"}, {"day": 1, "bands": "ir"}],
    },
    "sky": {"margin_deg": 0.02, "stars": {"faintest_mag": 21.0}, "galaxies": {"faintest_mag": 23.5}},
}  # fmt: skip


@pytest.fixture(scope="module")
def survey():
    return Survey.plan(SurveySpec.parse(CONTENT, "counted"), seed=1)


def test_the_map_of_visits_holds_the_area_of_all_detectors(survey):
    visits, (west, east, south, north) = coverage(survey)
    assert east - west == pytest.approx(north - south)
    pixel = ((east - west) / visits.shape[0]) ** 2
    one = sum(d.bbox.area for d in survey.detectors) * (survey.camera.plate_scale / 3600.0) ** 2
    assert visits.sum() * pixel == pytest.approx(len(survey.exposures) * one, rel=0.02)
    assert visits.max() == len(survey.exposures)


def test_counts_are_those_of_the_literature_within_a_third(survey):
    on_detectors, galaxies, stars = count_panels(survey)
    assert on_detectors.light == "r [AB mag]"
    for panel, name, low, high in ((galaxies, "galaxies", 20.9, 22.9), (stars, "stars", 17.0, 20.0)):
        at = panel.published.x[(panel.published.x > low) & (panel.published.x < high)]
        known = np.interp(at, panel.published.x, panel.published.y)
        found = np.array([np.sum(np.abs(panel.mags[name] - mag) < 0.5) for mag in at]) / panel.area_deg2
        assert np.all(np.abs(found / known - 1.0) < 0.33 + 4.0 / np.sqrt(found * panel.area_deg2))


def test_galaxies_cluster_and_the_seeing_is_known(survey):
    found = clustering(survey)
    near = found.separation_arcmin < 1.0
    assert np.nanmean(found.correlation[near]) > 0.03
    assert np.all(np.diff(found.share) >= 0.0)
    assert found.share[-1] > found.even_share[-1]
    assert 0.3 < found.seeing_arcsec < 2.0
