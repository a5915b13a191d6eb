import numpy as np
import pytest

from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.simulate.light.dust import Dust
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.population.crowded import CrowdedSpec, king_radii, make_crowded
from etendue.simulate.population.moment import Moment


@pytest.fixture(scope="module")
def cluster():
    return make_crowded(CrowdedSpec(ra_deg=250.0, dec_deg=36.0, stars=40000), 4, Dust(constant_excess=0.02))


def test_surface_densities_are_kings():
    radius = king_radii(np.random.default_rng(2), 200000, 1.0, 30.0)
    edges = np.array([0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0])
    have, _ = np.histogram(radius, edges)
    fine = np.linspace(0.0, 30.0, 300001)
    density = (1 / np.sqrt(1 + fine**2) - 1 / np.sqrt(1 + 900.0)) ** 2 * fine
    expected, _ = np.histogram(fine, edges, weights=density)
    expected *= radius.size / expected.sum()
    assert (np.abs(have - expected) < 4.5 * expected**0.5).all()


def test_stars_lie_within_the_tidal_radius_and_the_limits(cluster):
    away = separation_deg(cluster.objects["ra"], cluster.objects["dec"], 250.0, 36.0)
    assert away.max() <= 25.0 / 60.0 + 1e-9
    mag, _ = cluster.magnitudes(lsst_band("r"))
    assert mag.min() > 9.8
    assert mag.max() < 26.2


def test_the_core_is_crowded(cluster):
    lights = cluster.lights(Moment(lsst_band("i"), 60000.0, 15.0, 250.0, 36.0, 0.5 / 60.0))
    assert len(lights) / (np.pi * 0.25) > 2000  # per square arcminute


def test_the_colour_magnitude_diagram_has_its_branches(cluster):
    columns = cluster.objects
    color = np.subtract(*(cluster.magnitudes(lsst_band(name))[0] for name in "gi"))
    absolute = columns["absolute_mag"]
    turnoff = np.abs(absolute - 4.0) < 0.3
    tip = absolute < -1.5
    low = np.abs(absolute - 8.0) < 0.3
    assert np.median(color[turnoff]) < 0.5
    assert np.median(color[tip]) > 1.0
    assert np.median(color[low]) > 1.0
    blue = (np.abs(absolute - 0.55) < 0.4) & (color < 0.5)
    assert 10 < blue.sum() < 0.1 * color.size


def test_proper_motions_are_the_clusters(cluster):
    columns = cluster.objects
    assert columns["pm_ra"].mean() == pytest.approx(-5.0, abs=0.01)
    assert columns["pm_dec"].std() * 4.74047 * 7.5 == pytest.approx(8.0, rel=0.02)
    assert np.unique(columns["parallax"]).tolist() == [1 / 7.5]


def test_two_clusters_do_not_share_ids_or_stars():
    spec = CrowdedSpec(ra_deg=250.0, dec_deg=36.0, stars=100)
    first, second = (make_crowded(spec, 4, copy=copy).objects for copy in (0, 1))
    assert not np.isin(first["object_id"], second["object_id"]).any()
    assert (first["ra"] != second["ra"]).all()


def test_a_cluster_beyond_the_limits_is_refused():
    with pytest.raises(InputError, match="no star of the cluster"):
        make_crowded(CrowdedSpec(ra_deg=0.0, dec_deg=0.0, distance_kpc=2e5, faintest_mag=20.0), 1)
    with pytest.raises(ValueError, match="core radius"):
        CrowdedSpec(ra_deg=0.0, dec_deg=0.0, core_radius_arcmin=30.0)
