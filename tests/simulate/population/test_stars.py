import numpy as np
import pytest

from etendue.camera.camera import Observatory
from etendue.geom.sphere import separation_deg, unit_vector
from etendue.simulate.light.dust import Dust
from etendue.simulate.light.galactic import EQUATORIAL_TO_GALACTIC, from_galactic
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.population import milky_way
from etendue.simulate.population.layer import Field
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.motion import EPOCH_MJD_TAI, positions_at, tangents
from etendue.simulate.population.published_counts import STAR_COUNTS
from etendue.simulate.population.star_layer import GIANT, WHITE_DWARF
from etendue.simulate.population.stars import StarsSpec, make_stars


def _field(l_deg, b_deg, half):
    ra, dec = from_galactic(np.array([float(l_deg)]), np.array([float(b_deg)]))
    return Field(float(ra[0]), float(dec[0]), half, half)


def _v_mag(layer):
    g, r = (layer.magnitudes(lsst_band(name))[0] for name in "gr")
    return g - 0.5784 * (g - r) - 0.0038  # Lupton (2005), from SDSS g and r


@pytest.fixture(scope="module")
def pole():
    return make_stars(StarsSpec(faintest_mag=25.0), _field(0, 90, 1.0), 3)


@pytest.mark.parametrize("b_deg", sorted(STAR_COUNTS))
def test_counts_are_those_of_allen_within_a_quarter(b_deg):
    spec, half = StarsSpec(faintest_mag=24.2), 0.14 if b_deg < 45 else 0.4
    longitudes = (0,) if b_deg == 90 else range(15, 360, 60)
    fields = [_field(l_deg, b_deg, 1.0 if b_deg == 90 else half) for l_deg in longitudes]
    mags = np.concatenate([_v_mag(make_stars(spec, field, 7)) for field in fields])
    area = sum(field.area_deg2 for field in fields)
    limits = np.arange(16, 25)  # V = 15 has too few stars here
    have = (mags[:, None] < limits).sum(axis=0) / area
    ratio = have / 10.0 ** np.array(STAR_COUNTS[b_deg])[1:]
    assert ratio.min() > 0.75, ratio
    assert ratio.max() < 1.25, ratio


def test_equal_seeds_give_equal_stars_and_other_seeds_others():
    first, again, other = (make_stars(StarsSpec(faintest_mag=20.0), _field(90, 60, 0.5), seed) for seed in (1, 1, 2))
    for name, column in first.objects.items():
        np.testing.assert_array_equal(column, again.objects[name])
    assert other.objects["ra"].size != first.objects["ra"].size or (other.objects["ra"] != first.objects["ra"]).any()


def test_stars_keep_their_limits_and_their_field(pole):
    mag, _ = pole.magnitudes(lsst_band("r"))
    living = pole.objects["evolution"] != WHITE_DWARF
    assert mag[living].min() >= 10.0
    assert mag[living].max() < 25.0
    assert _field(0, 90, 1.0).contains(pole.objects["ra"], pole.objects["dec"]).all()


def test_populations_of_the_pole_are_those_of_the_model(pole):
    share = np.bincount(pole.objects["population"], minlength=3) / pole.objects["population"].size
    assert 0.05 < share[0] < 0.5
    assert share[2] > 0.3  # faint stars at the pole are of the halo
    dead = (pole.objects["evolution"] == WHITE_DWARF).mean()
    assert 0.002 < dead < 0.05
    assert (pole.objects["absolute_mag"][pole.objects["evolution"] == GIANT] < 4.0).all()


def test_metallicities_are_those_of_the_populations(pole):
    for number, population in enumerate(milky_way.POPULATIONS):
        living = (pole.objects["population"] == number) & (pole.objects["evolution"] != WHITE_DWARF)
        value = pole.objects["metallicity"][living]
        assert abs(value.mean() - population.metallicity) < 4 * value.std() / value.size**0.5


def test_motions_are_the_velocities_of_the_populations_seen_from_the_moving_sun(pole):
    columns = pole.objects
    east, north = tangents(columns["ra"], columns["dec"])
    speed = 4.740470 / columns["parallax"]
    velocity = east * (columns["pm_ra"] * speed)[:, None] + north * (columns["pm_dec"] * speed)[:, None]
    velocity += unit_vector(columns["ra"], columns["dec"]) * columns["radial_velocity"][:, None]
    inwards, along, up = (velocity @ EQUATORIAL_TO_GALACTIC.T).T
    near = columns["parallax"] > 0.5
    for number, population in enumerate(milky_way.POPULATIONS[:2]):
        chosen = near & (columns["population"] == number)
        error = 4.0 / chosen.sum() ** 0.5
        assert abs(inwards[chosen].mean() + 11.1) < error * population.dispersion[0]
        assert abs(along[chosen].mean() + 12.24 + population.drift) < error * population.dispersion[1] + 1.0
        assert abs(up[chosen].mean() + 7.25) < error * population.dispersion[2]
        assert abs(up[chosen].std() / population.dispersion[2] - 1.0) < error


def test_positions_are_those_of_straight_lines_in_space_seen_from_the_earth():
    coordinates, time = pytest.importorskip("astropy.coordinates"), pytest.importorskip("astropy.time")
    rng = np.random.default_rng(11)
    ra, dec = rng.uniform(0, 360, 50), np.degrees(np.arcsin(rng.uniform(-1, 1, 50)))
    parallax, pm_ra, pm_dec = rng.uniform(0.1, 700, 50), rng.normal(0, 500, 50), rng.normal(0, 500, 50)
    velocity = rng.normal(0, 50, 50)
    mjd = EPOCH_MJD_TAI + 3000.0
    have = positions_at(
        mjd, None, ra_deg=ra, dec_deg=dec, parallax_mas=parallax, pm_ra=pm_ra, pm_dec=pm_dec, radial_velocity=velocity
    )
    when = time.Time(mjd, format="mjd", scale="tai")
    earth = coordinates.get_body_barycentric("earth", when, ephemeris="builtin").xyz.to_value("au")
    distance = 648000.0 / np.pi / (parallax / 1e3)  # au
    east, north = tangents(ra, dec)
    per_year = distance[:, None] * np.radians(1 / 3.6e6) * (east * pm_ra[:, None] + north * pm_dec[:, None])
    per_year += unit_vector(ra, dec) * velocity[:, None] / 4.740470463533349
    there = unit_vector(ra, dec) * distance[:, None] + per_year * 3000.0 / 365.25 - earth
    there /= np.linalg.norm(there, axis=1)[:, None]
    assert np.linalg.norm(there - unit_vector(*have), axis=1).max() * 648000.0 / np.pi * 1e3 < 0.1  # mas


def test_parallax_draws_an_ellipse_of_its_size():
    mjd = EPOCH_MJD_TAI + np.linspace(0.0, 365.25, 60)
    star = {"ra_deg": np.array([270.0]), "dec_deg": np.array([66.56]), "parallax_mas": np.array([100.0])}
    still = {name: np.zeros(1) for name in ("pm_ra", "pm_dec", "radial_velocity")}
    track = np.array([positions_at(float(t), None, **star, **still) for t in mjd])[:, :, 0]
    away = separation_deg(track[:, 0], track[:, 1], 270.0, 66.56) * 3.6e6
    assert away.min() > 97.0  # the star is near the pole of the ecliptic; the Sun moves about the barycentre
    assert away.max() < 103.0


def test_lights_are_the_stars_of_the_circle_where_they_are_then(pole):
    site = Observatory(name="here", longitude_deg=-70.7, latitude_deg=-30.2, elevation_m=2660.0)
    moment = Moment(lsst_band("g"), 61000.0, 30.0, 192.5, 27.3, 0.4, site)
    lights = pole.lights(moment)
    ra, dec = pole.positions(moment)
    inside = separation_deg(ra, dec, 192.5, 27.3) <= 0.4
    assert np.isin(pole.objects["object_id"][inside], lights.object_id).all()
    row = np.searchsorted(pole.objects["object_id"], lights.object_id)
    np.testing.assert_allclose(lights.mag, pole.magnitudes(lsst_band("g"))[0][row])
    np.testing.assert_array_equal(lights.ra_deg, ra[row])
    assert (lights.shape == -1).all()


def test_dust_reddens_and_hides():
    field = _field(40, 3, 0.15)
    clear, dusty = (
        make_stars(StarsSpec(faintest_mag=20.0), field, 1, Dust(constant_excess=excess)) for excess in (0.0, 1.0)
    )
    assert dusty.objects["ra"].size < 0.6 * clear.objects["ra"].size
    assert (dusty.objects["excess"] == 1.0).all()
    color = [np.median(np.subtract(*(layer.magnitudes(lsst_band(b))[0] for b in "gr"))) for layer in (clear, dusty)]
    assert color[1] - color[0] > 0.5


def test_no_stars_where_none_are_wanted():
    layer = make_stars(StarsSpec(density=0.0), _field(0, 60, 0.5), 1)
    assert layer.objects["ra"].size == 0
    assert len(layer.lights(Moment(lsst_band("u"), 60000.0, 30.0, 10.0, 10.0, 1.0))) == 0


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="not brighter"):
        StarsSpec(brightest_mag=20.0, faintest_mag=18.0)
