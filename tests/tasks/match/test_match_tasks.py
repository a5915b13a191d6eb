"""Sky matching and pattern matching: right where there is a match, silent where there is none."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.geom.sphere import separation_deg
from etendue.tasks.match.pattern import MatchPatternConfig, MatchPatternTask
from etendue.tasks.match.similarity import Similarity
from etendue.tasks.match.sky import MatchSkyConfig, MatchSkyTask

FIELD = 1500.0


def scene(seed, *, n_true=150, n_spurious=50, rotation_deg=4.0, shift=180.0, scale_error=0.01, mirrored=False):
    """Return sources and reference stars of one field, and the true transform."""
    rng = np.random.default_rng(seed)
    reference = rng.uniform(-0.75 * FIELD, 0.75 * FIELD, (int(2.25 * n_true), 2))
    flux = rng.lognormal(0.0, 1.5, len(reference))
    turn = np.radians(rng.uniform(-rotation_deg, rotation_deg))
    scale = 1.0 + rng.uniform(-scale_error, scale_error)
    inverse = Similarity(scale * np.cos(turn), scale * np.sin(turn), *rng.uniform(-shift, shift, 2), mirrored)
    inside = (np.abs(reference) < FIELD / 2).all(axis=1)
    seen = inverse.apply(reference[inside]) + rng.normal(0.0, 0.3, (inside.sum(), 2))
    spurious = rng.uniform(-FIELD / 2, FIELD / 2, (n_spurious, 2))
    brightness = np.r_[flux[inside] * rng.lognormal(0.0, 0.3, inside.sum()), rng.lognormal(1.0, 1.5, n_spurious)]
    arrays = {
        "source": np.vstack([seen, spurious]),
        "source_flux": brightness,
        "reference": reference,
        "reference_flux": flux,
    }
    return arrays, seen, reference[inside]


@pytest.mark.parametrize("mirrored", [False, True])
def test_finds_shift_rotation_scale_and_parity(mirrored):
    task = MatchPatternTask(MatchPatternConfig(allow_flips=mirrored))
    for seed in range(20):
        arrays, seen, truth = scene(seed, mirrored=mirrored)
        match = task.run(**arrays)
        assert np.abs(match.transform.apply(seen) - truth).max() < 3.0
        assert match.transform.mirrored == mirrored


def test_few_stars_among_many_spurious_ones_are_enough():
    for seed in range(20):
        arrays, seen, truth = scene(seed, n_true=30, n_spurious=60)
        assert np.abs(MatchPatternTask().run(**arrays).transform.apply(seen) - truth).max() < 3.0


def test_brighter_spurious_sources_only_cost_a_second_try():
    for seed in range(5):
        arrays, seen, truth = scene(seed, n_true=60, n_spurious=140)
        assert np.abs(MatchPatternTask().run(**arrays).transform.apply(seen) - truth).max() < 3.0


def test_eight_true_stars_among_26_sources_are_enough():
    for seed in range(20):
        arrays, seen, truth = scene(seed, n_true=18, n_spurious=18)
        keep = np.r_[np.arange(8), np.arange(len(seen), len(seen) + 18)]
        arrays |= {"source": arrays["source"][keep], "source_flux": arrays["source_flux"][keep]}
        assert np.abs(MatchPatternTask().run(**arrays).transform.apply(seen[:8]) - truth[:8]).max() < 4.0


@pytest.mark.parametrize("flip", [(1, -1), (-1, 1), (-1, -1)])
def test_axes_of_the_wrong_sign_are_found_unless_forbidden(flip):
    for seed in range(3):
        arrays, seen, truth = scene(seed, n_true=40, n_spurious=30, shift=30.0)
        flipped = arrays | {"source": arrays["source"] * flip}
        match = MatchPatternTask().run(**flipped)
        assert np.abs(match.transform.apply(seen * flip) - truth).max() < 3.0
        with pytest.raises(AlgorithmError, match="no star pattern"):
            MatchPatternTask(MatchPatternConfig(allow_flips=False, efforts=((1, 2),))).run(**flipped)


@pytest.mark.parametrize(("n", "saturated"), [(2000, 200), (40000, 1500)])
def test_stars_that_are_saturated_on_the_frame_do_not_hide_the_pattern(n, saturated):
    rng = np.random.default_rng(8)
    reference = rng.uniform(-0.75 * FIELD, 0.75 * FIELD, (n, 2))
    flux = rng.lognormal(0.0, 1.5, len(reference))
    faint = np.argsort(-flux)[saturated:]
    source = reference[faint][(np.abs(reference[faint]) < FIELD / 2).all(axis=1)]
    brightness = flux[faint][(np.abs(reference[faint]) < FIELD / 2).all(axis=1)]
    match = MatchPatternTask(MatchPatternConfig(allow_flips=False)).run(
        source=source + 20.0, source_flux=brightness, reference=reference, reference_flux=flux
    )
    assert np.abs(match.transform.apply(source + 20.0) - source).max() < 0.1
    assert len(match.source) == len(source)


def test_unrelated_fields_never_match():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        with pytest.raises(AlgorithmError):
            MatchPatternTask().run(
                source=rng.uniform(-700.0, 700.0, (80, 2)),
                source_flux=rng.random(80),
                reference=rng.uniform(-1000.0, 1000.0, (160, 2)),
                reference_flux=rng.random(160),
            )


def test_two_stars_are_refused():
    with pytest.raises(AlgorithmError, match="too few stars"):
        MatchPatternTask().run(
            source=np.zeros((2, 2)), source_flux=np.ones(2), reference=np.zeros((9, 2)), reference_flux=np.ones(9)
        )


def test_similarity_fit_inverts_apply():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(10, 2))
    for mirrored in (False, True):
        transform = Similarity(0.9, -0.3, 4.0, 5.0, mirrored)
        fitted = Similarity.fit(points, transform.apply(points), mirrored=mirrored)
        np.testing.assert_allclose([fitted.a, fitted.b, fitted.dx, fitted.dy], [0.9, -0.3, 4.0, 5.0], atol=1e-12)


def test_sky_matches_agree_with_brute_force_at_the_pole_and_the_meridian():
    rng = np.random.default_rng(2)
    for dec0 in (0.0, 89.999):
        ra1, dec1 = rng.uniform(-0.01, 0.01, 100) % 360.0, dec0 + rng.uniform(-0.0009, 0.0009, 100)
        ra2, dec2 = rng.uniform(-0.01, 0.01, 120) % 360.0, dec0 + rng.uniform(-0.0009, 0.0009, 120)
        matches = MatchSkyTask(MatchSkyConfig(radius_arcsec=1.0)).run(
            ra1_deg=ra1, dec1_deg=dec1, ra2_deg=ra2, dec2_deg=dec2
        )
        distance = separation_deg(ra1[:, None], dec1[:, None], ra2[None, :], dec2[None, :]) * 3600.0
        expected = []
        while distance.min() <= 1.0:
            i, j = np.unravel_index(distance.argmin(), distance.shape)
            expected.append((i, j))
            distance[i, :], distance[:, j] = np.inf, np.inf
        assert sorted(expected) == list(zip(matches.first, matches.second, strict=True))


def test_positions_that_are_not_finite_match_nothing():
    matches = MatchSkyTask().run(ra1_deg=[np.nan, 1.0], dec1_deg=[0.0, 0.0], ra2_deg=[1.0], dec2_deg=[0.0])
    assert matches.first.tolist() == [1]
    assert matches.separation_arcsec[0] == 0.0
