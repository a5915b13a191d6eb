from dataclasses import replace

import numpy as np

from etendue.tasks.calib.pairing import pair_exposures


def test_flats_are_paired_by_filter_and_time_once(make_raw, shape):
    info = make_raw(np.zeros(shape), observation_type="flat").info
    taken = [("R", 1.0), ("R", 2.0), ("V", 1.0), ("R", 1.0), ("R", 2.0), ("R", 1.0), ("R", 0.0), ("R", 0.0)]
    infos = [
        replace(info, exposure_id=k, physical_filter=name, exposure_time_s=seconds)
        for k, (name, seconds) in enumerate(taken)
    ]
    assert pair_exposures(infos) == [(0, 3), (1, 4), (6, 7)]
    backward = [(7 - a, 7 - b) for a, b in pair_exposures(infos[::-1])]
    assert backward == [(0, 3), (1, 4), (6, 7)]
