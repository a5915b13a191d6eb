import numpy as np
import pytest

from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.refcat.sample import ReferenceSample
from etendue.table.table import Table


def shard(ids, *, band=True, **more):
    n, ids = len(ids), np.asarray(ids)
    columns = {
        "id": ids, "ra": 150.0 + ids * 1e-3, "dec": np.full(n, 2.0), "raErr": np.full(n, 3.0 / 3.6e6),
        "decErr": np.full(n, 4.0 / 3.6e6),
    }  # fmt: skip
    if band:
        columns |= {"r_flux": 10.0 * ids, "r_fluxErr": np.full(n, 0.5)}
    return Table("refcat", columns | more)


def test_stars_in_several_shards_are_taken_once_in_order_of_id():
    sample = ReferenceSample.from_shards((shard([3, 1]), shard([2, 3])))
    np.testing.assert_allclose(sample.ra_deg, [150.001, 150.002, 150.003])
    np.testing.assert_allclose(sample.flux_in("r")[0], [10.0, 20.0, 30.0])
    assert sample.flux_in("g") is None
    assert len(sample) == 3


def test_errors_are_per_axis_in_arcseconds():
    sample = ReferenceSample.from_shards((shard([1]),))
    np.testing.assert_allclose(sample.err_arcsec, np.sqrt(12.5) * 1e-3, rtol=1e-6)
    unknown = shard([1], raErr=np.array([np.nan]))
    assert ReferenceSample.from_shards((unknown,)).err_arcsec[0] == 0.0


def test_stars_move_to_the_epoch():
    moving = shard([1], epoch=[58000.0], pmra=[0.0], pmdec=[1000.0])
    sample = ReferenceSample.from_shards((moving,), epoch_mjd=58000.0 + 3652.5)
    assert (sample.dec_deg[0] - 2.0) * 3600.0 == pytest.approx(10.0, abs=1e-3)
    assert ReferenceSample.from_shards((moving,)).dec_deg[0] == 2.0


def test_stars_near_a_detector_include_the_margin():
    wcs = SkyWcs.tan(
        crpix_x=10.0, crpix_y=10.0, crval_ra_deg=150.005, crval_dec_deg=2.0, cd=np.diag([-1e-3, 1e-3]) * 0.1
    )
    sample = ReferenceSample.from_shards((shard(np.arange(1, 11)),))
    box = Box.from_shape((21, 21))
    assert len(sample.near(wcs, box, margin_px=0.0)) == 3  # one star every 10 px
    assert len(sample.near(wcs, box, margin_px=20.0)) == 7


def test_a_negative_row_stands_for_no_star():
    sample = ReferenceSample.from_shards((shard([1, 2]),)).at(np.array([1, -1]))
    assert sample.ra_deg[0] == pytest.approx(150.002)
    assert np.isnan([sample.ra_deg[1], sample.dec_deg[1], sample.err_arcsec[1], sample.flux_in("r")[0][1]]).all()
    empty = ReferenceSample.from_shards((shard([]),)).at(np.array([-1, -1]))
    assert np.isnan(empty.ra_deg).all()
    assert len(empty) == 2


def test_colours_are_magnitude_differences_and_nan_or_none_where_unknown():
    shards = (shard([1, 2], g_flux=[1.0, 0.0], g_fluxErr=[0.1, 0.1], i_flux=[100.0, 10.0], i_fluxErr=[0.1, 0.1]),)
    sample = ReferenceSample.from_shards(shards)
    color = sample.color("g-i")
    assert color[0] == pytest.approx(5.0)
    assert np.isnan(color[1])
    assert sample.color("g-z") is None
    assert sample.color("") is None
