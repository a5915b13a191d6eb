"""Quanta without exposure or visit find calibrations."""

import pytest
from lsst.daf.butler import DataCoordinate
from toy_survey import fill

from etendue.middleware.calibrations import certify
from etendue.middleware.repository import Repository
from etendue.middleware.timeless_calibrations import find_timeless

CERTIFIED = "toy/certified"
LATE, EARLY = "toy/offsets/late", "toy/offsets/early"


@pytest.fixture
def butler(tmp_path):
    home = Repository.create(tmp_path / "repo")
    fill(home)
    with home.writing() as butler:
        certify(butler, ["offset"], run=EARLY, collection=CERTIFIED, begin_mjd_tai=60000.0, end_mjd_tai=60010.0)
        certify(butler, ["offset"], run=LATE, collection=CERTIFIED, begin_mjd_tai=60010.0)
    return home.butler


def found(butler, collections=(CERTIFIED,), **values):
    data_id = DataCoordinate.standardize({"instrument": "toy"} | values, universe=butler.dimensions)
    refs = find_timeless(butler.get_dataset_type("offset"), butler.registry, data_id, collections)
    return [(ref.dataId["detector"], ref.run) for ref in refs]


def test_without_a_night_what_became_valid_last_is_taken(butler):
    assert found(butler, detector=1) == [(1, LATE)]


@pytest.mark.parametrize(("night", "run"), [(20230225, EARLY), (20230305, EARLY), (20230308, LATE)])
def test_a_night_takes_what_is_valid_then(butler, night, run):
    assert found(butler, detector=0, day_obs=night) == [(0, run)]


def test_before_the_first_validity_and_in_other_collections_there_is_none(butler):
    assert found(butler, detector=0, day_obs=20230101) == []
    assert found(butler, (LATE,), detector=0) == []
