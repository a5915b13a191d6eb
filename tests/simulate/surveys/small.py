"""A survey that is planned and rendered in seconds."""

from etendue.simulate.surveys.spec import SurveySpec

SMALL = {
    "name": "small",
    "detectors": [0],
    "area_m2": 2.0,
    "calibrations": {"bias": 1, "flat": 1},
    "cadence": {
        "start": "2025-09-30",
        "fields": [{"name": "field", "ra_deg": 330.1, "dec_deg": -29.9}],
        "exposure_time_s": 90.0,
        "nights": [{"day": 0, "bands": "rg"}],
    },
    "sky": {
        "galaxies": {"faintest_mag": 21.0},
        "stars": {"faintest_mag": 21.0},
        "variables": [{"kind": "rr_lyrae", "count": 5}],
        "moving": [{"dynamical_class": "main_belt", "in_field": 2}],
    },
    "telescope": {"optics": {"diameter_m": 1.6, "obscuration": 0.3}, "nodes": 3},
}


def small(**changes: object) -> SurveySpec:
    return SurveySpec.parse(SMALL | changes, "small")
