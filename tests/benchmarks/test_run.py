import io

import comparison
import numpy as np
import pytest
import run
from pixel_sides import our_measurement, our_warp, sep_measurement
from rich.console import Console
from star_field import gaussian_stamp, render


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("field")
    render(200).save(folder)
    return folder


def test_the_field_is_the_same_whoever_renders_it():
    first, second = render(64), render(64)
    np.testing.assert_array_equal(first.image, second.image)
    assert (first.variance > 0).all()
    assert gaussian_stamp().sum() == pytest.approx(1.0)


def test_ours_and_the_peer_detect_the_same_field(folder):
    ours, peer = our_measurement(folder)()["n"], sep_measurement(folder)()["n"]
    assert ours > 15
    assert ours == pytest.approx(peer, rel=0.1)


def test_a_turned_field_covers_most_of_the_target(folder):
    assert 0.9 < our_warp(folder)()["finite_fraction"] < 1.0


def test_sides_run_in_turn_in_processes_of_their_own():
    results = run.run(run.parsed(["--quick", "--only", "detection"]))
    ours, peer = results["detection"]["sides"]
    assert min(ours["median"], peer["median"]) > 0.0
    assert min(ours["peak_mib"], peer["peak_mib"]) > 20.0
    assert peer["ours_over_this"] == pytest.approx(ours["median"] / peer["median"])


def test_a_side_that_cannot_run_is_named_with_its_reason():
    contender = comparison.Contender("absent", None, "nothing")
    side = comparison._summary(contender, run.COMPARISONS[0], {}, {"absent": "no module"})
    shown = io.StringIO()
    comparison.show({"detection": {"equal_work": "no", "sides": [side]}}, Console(file=shown, width=100))
    assert "(skipped: no module)" in shown.getvalue()
    assert max(map(len, shown.getvalue().splitlines())) <= 100
