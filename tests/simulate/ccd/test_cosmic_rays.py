import numpy as np
import pytest
from scipy.ndimage import find_objects, label, sum_labels

from etendue.simulate.ccd.cosmic_rays import CosmicRaySpec, strike
from etendue.simulate.ccd.streams import Streams

ONLY = {"muons_cm2_min": 0.0, "worms_cm2_min": 0.0, "spots_cm2_min": 0.0}
SHAPE = (1024, 1024)
AREA_CM2 = 1.024**2


def struck(seconds=600.0, seed=1, **rates):
    return strike(SHAPE, seconds, 10.0, CosmicRaySpec(**ONLY | rates), Streams(seed))


def components(charge):
    labels, count = label(charge > 5.0, structure=np.ones((3, 3)))
    return sum_labels(charge, labels, np.arange(1, count + 1)), find_objects(labels)


@pytest.mark.parametrize("kind", ["muons", "worms", "spots"])
def test_the_rate_comes_back_from_connected_pixels(kind):
    counts = [
        components(struck(seed=k, **{f"{kind}_cm2_min": 4.0}, delta_electrons=False)[0])[0].size for k in range(4)
    ]
    expected = 4.0 * 10.0 * AREA_CM2 * 4
    # tracks that enter from the sides add, overlaps and faint spots take away
    assert sum(counts) == pytest.approx(expected, rel=4.0 / np.sqrt(expected) + 0.08)


def test_muons_leave_eighty_electrons_per_micron_of_their_way():
    charge, rays = struck(seconds=1200.0, muons_cm2_min=5.0, delta_electrons=False)
    inside = (rays.x > 60) & (rays.x < 960) & (rays.y > 60) & (rays.y < 960)
    path_um = np.hypot(rays.reach, 10.0) * 10.0
    loss = rays.electrons[inside] / path_um[inside]
    assert np.median(loss) == pytest.approx(80.0, rel=0.05)  # most probable in silicon: 76 to 80 (PDG)
    assert np.percentile(loss, 95) > 1.2 * np.median(loss)  # Landau's tail
    sums, boxes = components(charge)
    length = np.array([np.hypot(b[0].stop - b[0].start, b[1].stop - b[1].start) for b in boxes]) - 1.5
    estimate = sums / (10.0 * np.hypot(np.maximum(length, 0.0), 10.0))
    assert np.median(estimate) == pytest.approx(80.0, rel=0.1)


def test_lengths_of_muon_tracks_follow_cos_squared():
    reach = np.concatenate([struck(muons_cm2_min=4.0, seed=k, delta_electrons=False)[1].reach for k in range(6)])
    # cos^3 sin: P(tan > t) = (1 + t^2)^-2
    for tangent in (0.5, 1.0, 2.0):
        expected = (1.0 + tangent**2) ** -2
        found = np.mean(reach > 10.0 * tangent)
        assert abs(found - expected) < 4.0 * np.sqrt(expected / reach.size)


def test_worms_curl_and_spots_are_small():
    worms, spots = struck(worms_cm2_min=3.0)[0], struck(spots_cm2_min=3.0)[0]
    worm_sizes, spot_sizes = (
        np.array([b[0].stop - b[0].start + b[1].stop - b[1].start for b in components(c)[1]]) for c in (worms, spots)
    )
    assert np.median(spot_sizes) <= 6
    assert np.median(worm_sizes) > 2.0 * np.median(spot_sizes)
    assert worm_sizes.max() < 400


def test_spots_carry_their_energy():
    charge, rays = struck(spots_cm2_min=4.0, spot_kev=5.9)
    assert rays.electrons.mean() == pytest.approx(5900.0 / 3.65, rel=0.15)
    assert charge.sum() == pytest.approx(rays.electrons.sum() * 1.024**2 / 1.224**2, rel=0.3)


def test_muons_knock_on_electrons():
    _, rays = struck(muons_cm2_min=8.0)
    muons, deltas = (rays.kind == 0).sum(), (rays.kind == 3).sum()
    path = np.hypot(rays.reach[rays.kind == 0], 10.0).sum() * 10.0
    assert deltas == pytest.approx(path * 0.00178, abs=4.0 * np.sqrt(path * 0.00178))
    assert (struck(muons_cm2_min=8.0, delta_electrons=False)[1].kind == 0).sum() == muons


def test_the_mask_holds_the_pixels_that_were_hit(make_ccd, make_chip):
    detector = make_chip(256, 256, columns=1, stories=1, gain=1.0)
    ccd = make_ccd(detector, shot_noise=False, cosmic_rays={"muons_cm2_min": 100.0, "mask_electrons": 30.0})
    out = ccd.expose(np.zeros(ccd.shape, np.float32), 60.0, np.random.default_rng(1))
    frame = detector.trim(out.raw)
    assert out.masks.cosmic_ray.sum() > 50
    assert (frame[out.masks.cosmic_ray] >= 30).all()
    assert (frame[~out.masks.cosmic_ray] <= 30).all()


def test_no_time_no_rays():
    assert not struck(seconds=0.0, muons_cm2_min=100.0)[0].any()
