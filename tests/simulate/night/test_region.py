"""Regions are tiled without gaps wider than the spacing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from etendue.geom.sphere import separation_deg
from etendue.simulate.night.region import RegionSpec
from etendue.simulate.night.spec import CadenceSpec, NightPlan, TargetField


@given(
    south=st.floats(-70.0, 40.0), height=st.floats(5.0, 30.0), spacing=st.floats(1.0, 4.0), west=st.floats(0.0, 360.0)
)
def test_every_place_inside_is_nearer_to_a_field_than_the_spacing(south, height, spacing, west):
    region = RegionSpec(longitude_deg=(west, west + 20.0), latitude_deg=(south, south + height), spacing_deg=spacing)
    ra, dec = region.centres()
    rng = np.random.default_rng(1)
    lon, lat = west + rng.uniform(0.0, 20.0, 50), rng.uniform(south, south + height, 50)
    assert separation_deg(lon[:, None], lat[:, None], ra, dec).min(axis=1).max() < 1.5 * spacing
    assert dec.min() >= south
    assert dec.max() <= south + height + 1e-6


def test_fields_are_not_crowded():
    ra, dec = RegionSpec(longitude_deg=(0.0, 30.0), latitude_deg=(-50.0, -30.0), spacing_deg=3.0).centres()
    apart = separation_deg(ra[:, None], dec[:, None], ra, dec) + 10.0 * np.eye(ra.size)
    assert apart.min() > 2.4


def test_an_ecliptic_region_follows_the_ecliptic():
    ra, dec = RegionSpec(
        frame="ecliptic", longitude_deg=(90.0, 90.0), latitude_deg=(0.0, 0.0), spacing_deg=1.0
    ).centres()
    assert (ra[0], dec[0]) == pytest.approx((90.0, 23.4393))


def test_targets_are_fields_and_tiles_with_names_of_their_own():
    region = RegionSpec(name="E", longitude_deg=(0.0, 6.0), latitude_deg=(0.0, 3.0), spacing_deg=3.0, weight=2.0)
    cadence = CadenceSpec(fields=(TargetField(name="mine", ra_deg=1.0, dec_deg=2.0),), regions=(region,),
                          nights=(NightPlan(day=0, bands="r"),))  # fmt: skip
    assert [(target.name, target.weight) for target in cadence.targets] == [
        ("mine", 1.0), *((f"E{k:03d}", 2.0) for k in range(5))
    ]  # fmt: skip
    with pytest.raises(ValidationError, match="needs fields or regions"):
        CadenceSpec(nights=(NightPlan(day=0, bands="r"),))
