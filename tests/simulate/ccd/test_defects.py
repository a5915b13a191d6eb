import numpy as np

SPEC = {
    "dead_pixels": 60.0,
    "dead_columns": 3.0,
    "hot_columns": 3.0,
    "hot_column_electrons": 3000.0,
    "traps": 4.0,
    "trap_electrons": 4000.0,
}


def mean_frame(ccd, level, count=6):
    light = np.full(ccd.shape, level, np.float32)
    frames = [ccd.detector.trim(ccd.expose(light, 1.0, np.random.default_rng(k)).raw) for k in range(count)]
    return np.mean(frames, axis=0)


def test_dead_pixels_and_columns_are_what_flats_lack(make_ccd, make_chip):
    ccd = make_ccd(make_chip(256, 256, gain=1.0), defects=SPEC | {"hot_columns": 0.0, "traps": 0.0})
    found = mean_frame(ccd, 1000.0) < 500.0
    np.testing.assert_array_equal(found, ccd.defects.dead)
    assert found.sum() > 60


def test_hot_columns_stand_in_biases_beyond_the_leaking_pixel(make_ccd, make_chip):
    ccd = make_ccd(
        make_chip(256, 256, gain=1.0), defects=SPEC | {"dead_pixels": 0.0, "dead_columns": 0.0, "traps": 0.0}
    )
    found = mean_frame(ccd, 0.0) > 0.0
    np.testing.assert_array_equal(found, ccd.defects.mask)
    for segment, order in zip(ccd.defects.segments, ccd.orders, strict=True):
        view = order.view(found, ccd.detector)
        for row, col in zip(segment.hot_row, segment.hot_col, strict=True):
            assert view[row:, col].all()


def test_traps_take_charge_from_faint_flats_beyond_them(make_ccd, make_chip):
    ccd = make_ccd(
        make_chip(256, 256, gain=1.0), defects=SPEC | {"dead_pixels": 0.0, "dead_columns": 0.0, "hot_columns": 0.0}
    )
    assert sum(segment.trap_row.size for segment in ccd.defects.segments) > 0
    frame, level = mean_frame(ccd, 3000.0), 3000.0
    for segment, order, gain in zip(ccd.defects.segments, ccd.orders, ccd.gains, strict=True):
        view = order.view(frame, ccd.detector) * gain
        for col in np.unique(segment.trap_col):
            here = (segment.trap_col == col) & (segment.trap_row < view.shape[0] - 20)  # the others are not full
            row = segment.trap_row[segment.trap_col == col].min()
            missing = level * (view.shape[0] - row) - view[row:, col].sum()
            assert abs(missing - segment.trap_size[here].sum()) < 5.0 * np.sqrt(level * view.shape[0] / 6.0) + 60.0


def test_the_cameras_bad_regions_are_dead(make_ccd, make_chip):
    detector = make_chip().model_copy(update={"bad_regions": ("[11:13,21:40]",)})
    none = dict.fromkeys(("dead_pixels", "dead_columns", "hot_columns", "traps"), 0.0)
    ccd = make_ccd(detector, defects=none)
    expected = np.zeros(ccd.shape, bool)
    expected[20:40, 10:13] = True
    np.testing.assert_array_equal(ccd.defects.mask, expected)
    assert not mean_frame(ccd, 1000.0, 1)[expected].any()
