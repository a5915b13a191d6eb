import numpy as np

from etendue.simulate.light.dust import Dust
from etendue.simulate.population.dust_map import DustMap
from etendue.simulate.population.layer import Field


def test_a_map_is_the_dust_itself_within_a_few_per_cent():
    field, dust = Field(80.0, 10.0, 0.8, 0.8), Dust()
    ra, dec = field.scatter(np.random.default_rng(3), 500)
    have = DustMap(dust, field, 5).excess(ra, dec, np.inf)
    np.testing.assert_allclose(have, dust.excess(ra, dec, np.inf, 5), rtol=0.03)


def test_neighbouring_fields_see_the_same_clouds():
    ra, dec = np.full(20, 80.5), np.linspace(9.8, 10.2, 20)
    one, two = (DustMap(Dust(), Field(centre, 10.0, 0.6, 0.6), 5).excess(ra, dec, 1.0) for centre in (80.0, 81.0))
    np.testing.assert_allclose(one, two, rtol=0.05)


def test_constant_dust_is_constant_in_a_map():
    field = Field(80.0, 10.0, 1.0, 1.0)
    assert (DustMap(Dust(constant_excess=0.3), field, 1).excess(np.array([80.0]), np.array([10.0]), 1.0) == 0.3).all()
