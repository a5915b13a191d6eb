import frame_score
import frame_sides
import numpy as np
import pytest
import survey_frame
import throughput
import warp_score
import warp_sides
from profiles import DE_VAUCOULEURS, EXPONENTIAL, MOFFAT


def truth(n=200, seed=1):
    """Return stars on a grid 40 px apart, so that each is alone."""
    rng = np.random.default_rng(seed)
    x, y = (axis.ravel()[:n] + rng.uniform(-0.5, 0.5, n) for axis in np.meshgrid(*[np.arange(40.0, 800.0, 40.0)] * 2))
    snr = rng.uniform(10.0, 300.0, n)
    return {"x": x, "y": y, "flux": 50.0 * snr, "snr": snr, "is_star": np.ones(n)}


def found(true):
    return {"x": true["x"] + 0.1, "y": true["y"], "aper": true["flux"][:, None], "aper_err": np.full((200, 1), 50.0)}


def test_every_source_takes_its_own_detection_once():
    true = truth()
    order = np.random.default_rng(2).permutation(200)
    index = frame_score.match(true, true["x"][order], true["y"][order])
    np.testing.assert_array_equal(order[index], np.arange(200))


def test_blank_detections_and_doubles_are_told_apart():
    true, seen = truth(), found(truth())
    x = np.concatenate([seen["x"], true["x"][:3] + 1.0, [20.0, 60.0]])
    y = np.concatenate([seen["y"], true["y"][:3], [20.0, 60.0]])
    counts = frame_score.detection(true, {"x": x, "y": y}, 1e6)
    assert counts["duplicates_per_megapixel"] == pytest.approx(3.0)
    assert counts["false_per_megapixel"] == pytest.approx(2.0, rel=0.01)
    assert counts["completeness_of_isolated_stars"]["10-30"] == 1.0


def test_a_neighbour_of_a_tenth_of_the_flux_ends_isolation():
    pair = {"x": np.array([10.0, 15.0, 100.0]), "y": np.full(3, 10.0), "flux": np.array([100.0, 5.0, 1.0])}
    np.testing.assert_array_equal(frame_score.isolated(pair), [True, False, True])


def test_scatter_does_not_see_a_common_aperture_loss():
    true, seen = truth(), found(truth())
    seen["aper"] = 0.7 * seen["aper"]
    bins = frame_score.scatter(true, seen)
    assert bins["100-300"]["aperture_3px_scatter_percent"] == pytest.approx(0.0, abs=1e-9)
    assert bins["100-300"]["position_mpx"] == pytest.approx(74.13, rel=0.01)  # half of the axes are off by 100


def test_completeness_is_read_between_thresholds():
    scan = [{"false_per_megapixel": f, "duplicates_per_megapixel": 0.0, "completeness_of_isolated_stars": {"5-7": c}}
            for f, c in ((100.0, 0.9), (1.0, 0.5))]  # fmt: skip
    assert frame_score.at_equal_false_rate(scan, 10.0)["5-7"] == pytest.approx(0.7)
    assert frame_score.at_equal_false_rate(scan, 1000.0)["5-7"] is None


def test_a_frame_is_what_its_truth_says(tmp_path):
    frame = survey_frame.render(256)
    frame.save(tmp_path)
    excess = float((frame.image - frame.sky).sum())
    assert excess == pytest.approx(frame.truth["flux"].sum(), rel=0.2)  # light falls off the edges
    assert survey_frame.true_psf().sum() == pytest.approx(1.0)
    frame_sides.ours(tmp_path)()
    counts = frame_score.detection(frame.truth, frame_sides.catalog(tmp_path, "ours"), 256.0**2)
    assert counts["completeness_of_all_above_snr_10"] > 0.8


def test_our_warp_keeps_fluxes_and_knows_its_noise(tmp_path, monkeypatch):
    monkeypatch.setattr(warp_score, "SIZE", 512)
    scores = warp_score.score(tmp_path, {"ours": warp_sides.ours}, seed=1)
    assert abs(scores["ours"]["fwhm_2.5"]["summed_flux_rms_mmag"]) < 0.5
    assert scores["ours"]["fwhm_3.5"]["centroid_rms_mpx"] < 1.0
    assert scores["ours"]["noise"]["pixel_pull_width"] == pytest.approx(1.0, abs=0.02)
    assert scores["ours"]["noise"]["psf_flux_pull_width"] == pytest.approx(1.0, abs=0.1)


def test_the_stage_table_has_a_line_per_stage():
    row = {"stage": "isr", "quanta": 2, "cpu_median_s": 1.0, "cpu_s_per_frame": 0.5}
    assert throughput.table_lines({"stages": [row]})[2:] == ["| `isr` | 2 | 1.00 | 0.50 |"]


def test_the_profiles_have_unit_flux_and_scale():
    for profile in (EXPONENTIAL, DE_VAUCOULEURS):
        inside = profile.amplitude * (1.0 - np.exp(-0.5 / profile.variance))
        assert inside.sum() == pytest.approx(0.5, abs=1e-6)
    radius = np.linspace(0.0, 5.0, 200)
    drawn = (MOFFAT.amplitude / MOFFAT.variance * np.exp(-0.5 * radius[:, None] ** 2 / MOFFAT.variance)).sum(axis=1)
    moffat = (1.0 + 4.0 * (2 ** (1 / 3) - 1) * radius**2) ** -3.0
    np.testing.assert_allclose(drawn / drawn[0], moffat, atol=2e-3)
