"""What failed its verification is not certified."""

import pytest
from toy_survey import fill

from etendue.middleware.calibrations import certify
from etendue.middleware.repository import Repository
from etendue.middleware.validity import validities
from etendue.middleware.verification import FailedProducts, judged

RUN, CERTIFIED = "toy/offsets/late", "toy/certified"


def verdict(product: str, passed: bool, where: str = "") -> dict:
    return {
        "product": product,
        "what": "noise",
        "where": where,
        "value": 1.0,
        "low": 0.0,
        "high": 2.0,
        "passed": passed,
    }


@pytest.fixture
def toy(tmp_path):
    home = Repository.create(tmp_path / "repo")
    fill(home)
    home.register_dataset_type("calibration_verdict", ("instrument", "detector"), "EtendueJson")
    for detector, passed in ((0, True), (1, False)):
        verdicts = [verdict("offset", passed, "A"), verdict("other", passed=False)]
        home.put(verdicts, "calibration_verdict", {"instrument": "toy", "detector": detector}, run=RUN)
    return home


def test_a_product_with_one_failed_number_is_not_certified(toy):
    failed = FailedProducts(judged(toy.butler, RUN))
    with toy.writing() as butler:
        count = certify(butler, ["offset"], run=RUN, collection=CERTIFIED, failed=failed)
    assert count == 1
    assert [row.detector for row in validities(toy, "toy", collections=(CERTIFIED,))] == [0]


def test_everything_is_certified_where_nothing_was_judged_or_people_want_it(toy):
    assert judged(toy.butler, "toy/offsets/early") == ()
    assert judged(toy.butler, "nowhere") == ()
    with toy.writing() as butler:
        assert certify(butler, ["offset"], run=RUN, collection=CERTIFIED) == 2


def test_verdicts_come_by_detector_and_name_the_filter_of_flats_only(toy):
    found = judged(toy.butler, RUN)
    assert [one.detector for one in found] == [0, 1]
    assert "something" not in FailedProducts(found)
