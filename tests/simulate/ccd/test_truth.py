import numpy as np

from etendue.simulate.ccd.ccd import Ccd
from etendue.simulate.ccd.spec import CcdSpec
from etendue.simulate.ccd.truth import amplifier_truth, brighter_fatter_truth, crosstalk_truth


def test_truth_has_a_row_for_each_amplifier_pair_and_offset(make_chip):
    ccd = Ccd(make_chip(), CcdSpec.everything(), 1)
    amplifiers, pairs, offsets = amplifier_truth(ccd), crosstalk_truth(ccd), brighter_fatter_truth(ccd)
    for table, rows in ((amplifiers, 4), (pairs, 12), (offsets, 81)):
        assert {column.shape for column in table.values()} == {(rows,)}
        assert all(np.isfinite(column).all() for column in table.values() if column.dtype.kind == "f")
    np.testing.assert_array_equal(amplifiers["gain"], ccd.gains)
    assert offsets["a"][(offsets["dx"] == 0) & (offsets["dy"] == 0)] < -1e-6


def test_what_is_off_has_no_truth(make_chip):
    ccd = Ccd(make_chip(), CcdSpec(), 1)
    amplifiers = amplifier_truth(ccd)
    assert np.isfinite(amplifiers["gain"]).all()
    assert all(np.isnan(amplifiers[name]).all() for name in ("full_well", "serial_cti", "bias_level", "read_noise"))
    assert crosstalk_truth(ccd)["victim"].size == 0
    assert brighter_fatter_truth(ccd)["a"].size == 0
