import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.special import gamma, gammaincinv

from etendue.geom.sphere import separation_deg
from etendue.simulate.light.dust import Dust
from etendue.simulate.light.lsst_bands import BANDS, lsst_band
from etendue.simulate.population import galaxy_model
from etendue.simulate.population.clustering import scatter_clustered, slice_amplitude
from etendue.simulate.population.galaxies import GalaxiesSpec, make_galaxies
from etendue.simulate.population.galaxy_parts import DUST, OLD, YOUNG, GalaxyDetail
from etendue.simulate.population.layer import Field
from etendue.simulate.population.lensing import ConstantShear, NfwCluster, lens
from etendue.simulate.population.moment import Moment

_FIELD = Field(150.0, 2.2, 0.35, 0.35)
_CLEAR = Dust(constant_excess=0.0)
_STRENGTH, _SCALE_RADIUS_DEG = 0.160005, 0.0290332  # of the default cluster for sources at 1, by astropy's cosmology


@pytest.fixture(scope="module")
def sky():
    return make_galaxies(GalaxiesSpec(faintest_mag=25.5), _FIELD, 5, _CLEAR)


@pytest.fixture(scope="module")
def bright():
    spec = GalaxiesSpec(faintest_mag=21.5, detail=GalaxyDetail(tidal_tails=0.3))
    return make_galaxies(spec, Field(150.0, 2.2, 1.0, 1.0), 6, _CLEAR)


def test_counts_are_those_of_the_lsst_science_book():
    # Section 3.7.2: 46 galaxies per square arcminute brighter than i = 25, times 10**(0.31 (i - 25)).
    fine = np.arange(10.0, 27.0, 0.01)
    below = np.cumsum(galaxy_model.galaxy_counts(fine)) * 0.01 / 3600.0
    for mag in (23.0, 24.0, 25.0, 26.0):
        expected = 46.0 * 10.0 ** (0.31 * (mag - 25.0))
        assert np.interp(mag, fine, below) == pytest.approx(expected, rel=0.2), mag


def test_drawn_counts_follow_the_model(sky):
    mag = sky.objects["i_mag_0"]
    edges = np.arange(18.0, 25.6, 0.5)
    fine = np.arange(18.0, 25.5, 0.01) + 0.005
    expected, _ = np.histogram(fine, edges, weights=galaxy_model.galaxy_counts(fine) * 0.01 * _FIELD.area_deg2)
    have, _ = np.histogram(mag, edges)
    assert (np.abs(have - expected) < 4.5 * expected**0.5).all()


def test_redshifts_have_the_mean_of_the_lsst_science_book(sky):
    for mag in (22.0, 24.0, 25.0):
        near = np.abs(sky.objects["i_mag_0"] - mag) < 0.25
        assert sky.objects["redshift"][near].mean() == pytest.approx(3 * (0.0417 * mag - 0.744), rel=0.06)


def test_sizes_and_shapes_are_those_of_surveys(sky):
    columns = sky.objects
    for mag, size in (
        (21.0, 0.6),
        (23.0, 0.37),
        (25.0, 0.235),
    ):  # COSMOS, Leauthaud et al. (2007), along the major axis
        near = np.abs(columns["i_mag_0"] - mag) < 0.25
        shape = np.hypot(columns["e1"], columns["e2"])[near]
        ratio = np.sqrt((1.0 - shape) / (1.0 + shape))
        assert np.median(columns["half_light"][near] / np.sqrt(ratio)) == pytest.approx(size, rel=0.25)
        noise = np.sqrt(np.mean(((1.0 - ratio) / (1.0 + ratio)) ** 2) / 2.0)
        assert 0.22 < noise < 0.30  # 0.26 per component: Leauthaud et al. (2007), fig. 17


def test_position_angles_are_even(sky):
    for name in ("e1", "e2"):
        value = sky.objects[name]
        assert abs(value.mean()) < 4 * value.std() / value.size**0.5


def test_bright_galaxies_are_of_earlier_type(sky):
    bright, faint = (np.abs(sky.objects["i_mag_0"] - mag) < 0.5 for mag in (20.0, 25.0))
    assert sky.objects["early"][bright].mean() > 2 * sky.objects["early"][faint].mean()


def test_colours_are_those_of_an_independent_simulation(sky):
    # 16th, 50th and 84th percentiles of g-r and r-i within half a magnitude of i, of 8,600 galaxies of the LSST DESC's
    # DC2 (the test set of RAIL): another set of spectra, another model of galaxies.
    theirs = {
        22.0: ((0.24, 0.84, 1.44), (0.29, 0.66, 0.99)),
        23.0: ((0.08, 0.72, 1.30), (0.21, 0.57, 0.97)),
        24.0: ((0.10, 0.58, 1.18), (0.18, 0.52, 0.96)),
    }
    mags = [sky.magnitudes(lsst_band(name))[0] for name in "gri"]
    for mag, bands in theirs.items():
        near = np.abs(mags[2] - mag) < 0.5
        for k, expected in enumerate(bands):
            have = np.percentile((mags[k] - mags[k + 1])[near], [16, 50, 84])
            np.testing.assert_allclose(have, expected, atol=0.3)
            assert abs(have[1] - expected[1]) < 0.2


def test_i_magnitudes_are_what_was_drawn_and_all_bands_are_finite(bright):
    mag, wave = bright.magnitudes(lsst_band("i"))
    np.testing.assert_allclose(mag, bright.objects["i_mag_0"], atol=1e-9)
    assert 740.0 < wave.min() < wave.max() < 770.0
    for name in BANDS:
        mag, wave = bright.magnitudes(lsst_band(name))
        assert np.isfinite(mag).all()
        assert np.isfinite(wave).all()


def test_shares_of_parts_sum_to_one_in_every_band(bright):
    for name in "uiy":
        lights = bright.lights(Moment(lsst_band(name), 60000.0, 30.0, 150.0, 2.2, 0.5))
        shares = np.add.reduceat(lights.shapes.flux, lights.shapes.first[:-1])
        np.testing.assert_allclose(shares, 1.0, atol=1e-9)
        np.testing.assert_array_equal(lights.shape, np.arange(len(lights)))


def test_lights_are_the_galaxies_of_the_circle(bright):
    lights = bright.lights(Moment(lsst_band("r"), 60000.0, 30.0, 150.2, 2.4, 0.3))
    columns = bright.objects
    inside = separation_deg(columns["ra"], columns["dec"], 150.2, 2.4) <= 0.3
    np.testing.assert_array_equal(lights.object_id, columns["object_id"][inside])
    np.testing.assert_allclose(lights.mag, bright.magnitudes(lsst_band("r"))[0][inside])


def test_detail_has_all_its_kinds_and_keeps_colours_apart(bright):
    parts = bright.parts
    assert (parts.share[parts.component == DUST] < 0.0).all()
    assert {OLD, YOUNG, DUST} <= set(parts.component.tolist())
    counts = np.bincount(parts.galaxy)
    assert counts.max() > 20
    young = np.bincount(parts.galaxy[parts.component == YOUNG], minlength=counts.size) > 0
    i, g = (bright.magnitudes(lsst_band(name))[0] for name in "ig")
    assert np.median((g - i)[young]) < np.median((g - i)[~young])


def test_dust_lanes_leave_light_everywhere(bright):
    lights = bright.lights(Moment(lsst_band("g"), 60000.0, 30.0, 150.0, 2.2, 0.6))
    shapes = lights.shapes
    owner = np.repeat(np.arange(len(lights)), np.diff(shapes.first))
    dusty = np.unique(owner[shapes.flux < 0.0])[:40]
    assert dusty.size > 10
    for galaxy in dusty:
        rows = slice(shapes.first[galaxy], shapes.first[galaxy + 1])
        size = shapes.half_light[rows].max()
        x, y = (part.ravel() * size for part in np.meshgrid(np.linspace(-1.5, 1.5, 41), np.linspace(-1.5, 1.5, 41)))
        assert _brightness(shapes, rows, x, y).min() > 0.0


def _brightness(shapes, rows, north, east):
    """Surface brightness of a shape, from the definition of a Sersic profile."""
    total = np.zeros_like(north)
    for k in range(rows.start, rows.stop):
        size = np.hypot(shapes.e1[k], shapes.e2[k])
        ratio, angle = np.sqrt((1 - size) / (1 + size)), 0.5 * np.arctan2(shapes.e2[k], shapes.e1[k])
        u, v = north - shapes.north[k], east - shapes.east[k]
        along, across = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
        radius = np.sqrt(along**2 * ratio + across**2 / ratio) / shapes.half_light[k]
        n = shapes.sersic[k]
        b = gammaincinv(2 * n, 0.5)
        norm = 2 * np.pi * n * gamma(2 * n) * b ** (-2 * n) * shapes.half_light[k] ** 2
        total += shapes.flux[k] / norm * np.exp(-b * radius ** (1 / n))
    return total


def test_without_detail_galaxies_are_bulges_and_disks(sky):
    assert np.bincount(sky.parts.galaxy).max() == 2
    assert set(sky.parts.component.tolist()) == {0, 1}


def _correlation(field, ra, dec, edges_arcmin, rng):
    """Landy & Szalay (1993)."""
    east, north = field.from_sky(ra, dec)
    count = 3 * east.size
    random = rng.uniform(-1, 1, (count, 2)) * (field.half_width_deg, field.half_height_deg)
    data, noise = cKDTree(np.stack([east, north], axis=1)), cKDTree(random)
    edges = np.asarray(edges_arcmin) / 60.0
    dd = np.diff(data.count_neighbors(data, edges)) / (east.size * (east.size - 1.0))
    rr = np.diff(noise.count_neighbors(noise, edges)) / (count * (count - 1.0))
    dr = np.diff(data.count_neighbors(noise, edges)) / (east.size * float(count))
    return (dd - 2 * dr + rr) / rr


def test_a_slice_of_redshift_has_the_correlation_function_that_was_asked_for():
    field, rng = Field(30.0, 10.0, 1.0, 1.0), np.random.default_rng(8)
    redshift = np.linspace(0.5, 0.9, 48000)
    low, high = redshift[8000], redshift[12000]
    inner = (redshift >= low) & (redshift < high)  # the third of twelve slices
    edges = np.geomspace(0.05, 6.4, 8)
    have = []
    for _ in range(4):
        ra, dec = scatter_clustered(rng, field, redshift)
        have.append(_correlation(field, ra[inner], dec[inner], edges, rng))
    middle = np.sqrt(edges[1:] * edges[:-1])
    length = 5.0 / 0.7 * (1.0 + 0.5 * (low + high)) ** -0.4
    ratio = np.mean(have, axis=0) / (slice_amplitude(low, high, length) * middle**-0.8)
    assert ratio.min() > 0.6, ratio
    assert ratio.max() < 1.6, ratio


def test_the_projected_correlation_is_that_of_the_sdss():
    # Connolly et al. (2002, ApJ 579, 42), 21 < r < 22: about 0.07 at one arcminute; i is 0.5 brighter.
    spec = GalaxiesSpec(brightest_mag=20.4, faintest_mag=21.4)
    values = []
    for seed in range(3):
        layer = make_galaxies(spec, Field(30.0, 10.0, 1.2, 1.2), seed, _CLEAR)
        rng = np.random.default_rng(seed)
        values.append(
            _correlation(Field(30.0, 10.0, 1.2, 1.2), layer.objects["ra"], layer.objects["dec"], (0.5, 2.0), rng)
        )
    assert 0.04 < np.mean(values) < 0.12, values


def test_without_clustering_positions_are_even():
    spec = GalaxiesSpec(faintest_mag=24.0, correlation_length_mpc=0.0)
    layer = make_galaxies(spec, _FIELD, 2, _CLEAR)
    edges = (0.02, 0.1, 0.5, 2.0)
    have = _correlation(_FIELD, layer.objects["ra"], layer.objects["dec"], edges, np.random.default_rng(1))
    assert np.abs(have).max() < 0.05


def test_constant_shear_maps_ellipses_as_theory_says():
    spec = GalaxiesSpec(faintest_mag=23.0)
    shear = ConstantShear(g1=0.03, g2=-0.02)
    plain, seen = (make_galaxies(one, _FIELD, 3, _CLEAR) for one in (spec, spec.model_copy(update={"lensing": shear})))
    # Ellipticities (a-b)/(a+b) transform as (e + g) / (1 + g* e) (Seitz & Schneider 1997, A&A 318, 687).
    distortion = plain.parts.e1 + 1j * plain.parts.e2
    e = distortion / (1.0 + np.sqrt(1.0 - np.abs(distortion) ** 2))
    g = complex(shear.g1, shear.g2)
    expected = (e + g) / (1.0 + np.conj(g) * e)
    have = seen.parts.e1 + 1j * seen.parts.e2
    have = have / (1.0 + np.sqrt(1.0 - np.abs(have) ** 2))
    np.testing.assert_allclose(have, expected, atol=1e-12)
    magnification = 1.0 / (1.0 - abs(g) ** 2)
    np.testing.assert_allclose(
        plain.objects["i_mag_0"] - seen.objects["i_mag_0"], 2.5 * np.log10(magnification), atol=1e-12
    )
    np.testing.assert_allclose(seen.parts.half_light, plain.parts.half_light * magnification**0.5)


def test_constant_shear_moves_positions_by_its_matrix():
    field = Field(10.0, 0.0, 1.0, 1.0)
    seen = lens(ConstantShear(g1=0.1), field, np.array([10.1, 10.0]), np.array([0.0, 0.1]), np.ones(2))
    np.testing.assert_allclose(seen.ra_deg - 10.0, [0.1 / 1.1, 0.0], atol=1e-8)
    np.testing.assert_allclose(seen.dec_deg, [0.0, 0.1 / 0.9], atol=1e-8)


def test_a_cluster_shears_magnifies_and_deflects_consistently():
    cluster = NfwCluster(ra_deg=40.0, dec_deg=-10.0, redshift=0.3, mass_200=1e15, concentration=4.0)
    step = 1e-5
    north = np.array([0.02, 0.03, 0.06, 0.15, 0.4])
    at, beyond = (
        lens(cluster, _FIELD, np.full(5, 40.0), -10.0 + north + shift, np.full(5, 1.0)) for shift in (0.0, step)
    )
    image, stretch = at.dec_deg + 10.0, (beyond.dec_deg - at.dec_deg) / step
    assert (image > north).all()
    np.testing.assert_allclose(at.magnification, image / north * stretch, rtol=2e-3)
    # Stretched along the parallel, as the centre lies to the south: g1 < 0, and reduced shear from the Jacobian.
    ratio = stretch / (image / north)
    np.testing.assert_allclose(at.g1, (ratio - 1.0) / (ratio + 1.0), atol=2e-3)
    np.testing.assert_allclose(at.g2, 0.0, atol=1e-9)


def test_a_clusters_shear_is_that_of_wright_and_brainerd():
    # Their eq. 14 to 16 by hand for 1e15 solar masses, c = 4, lens at 0.3, sources at 1, seen at a scale radius:
    # mean convergence 4 (1 + ln 1/2) s, convergence s 2 / 3 with s = rs rho_s / critical surface density, from astropy.
    cluster = NfwCluster(ra_deg=40.0, dec_deg=0.0)
    here = np.linspace(0.01, 0.06, 2000)
    seen = lens(cluster, _FIELD, np.full(2000, 40.0), here, np.ones(2000))
    mean, local = 4.0 * (1.0 - np.log(2.0)) * _STRENGTH, 2.0 / 3.0 * _STRENGTH
    shear = -np.interp(_SCALE_RADIUS_DEG, seen.dec_deg, seen.g1)
    assert shear == pytest.approx((mean - local) / (1.0 - local), rel=0.01)
    front = lens(cluster, _FIELD, np.array([40.0]), np.array([0.05]), np.array([0.2]))
    assert front.g1[0] == 0.0
    assert front.magnification[0] == 1.0
    assert front.dec_deg[0] == pytest.approx(0.05, abs=1e-9)


def test_equal_seeds_give_equal_galaxies():
    spec = GalaxiesSpec(faintest_mag=22.0, detail=GalaxyDetail())
    first, again = (make_galaxies(spec, _FIELD, 9) for _ in range(2))
    for name, column in first.objects.items():
        np.testing.assert_array_equal(column, again.objects[name])
    np.testing.assert_array_equal(first.parts.share, again.parts.share)


def test_no_galaxies_where_none_are_wanted():
    layer = make_galaxies(GalaxiesSpec(density=0.0, detail=GalaxyDetail()), _FIELD, 1)
    assert len(layer.lights(Moment(lsst_band("u"), 60000.0, 30.0, 150.0, 2.2, 1.0))) == 0
