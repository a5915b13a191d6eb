import numpy as np
import pytest

from etendue.kernels.charge_transfer import catch_in_traps, defer_columns, defer_rows

NO_STRUCTURE = dict.fromkeys(
    (
        *("amplifier_rms_adu", "row_ramp_adu", "column_ramp_adu", "column_rms_adu", "pixel_rms_adu"),
        *("drift_adu", "jitter_adu", "row_drift_adu"),
    ),
    0.0,
)


def slow_defer(image, inefficiency, release, size, fill, size_release):
    """The definition, pixel by pixel."""
    out = image.astype(float).copy()
    for col in range(image.shape[1]):
        held = trapped = 0.0
        for row in range(image.shape[0]):
            given = release * held
            caught = max((1.0 - (1.0 - inefficiency) ** (row + 1)) * out[row, col] - (held - given), 0.0)
            out[row, col] += given - caught
            held += caught - given
            if size > 0.0:
                given = size_release * trapped
                caught = max(min(fill * out[row, col], size) - (trapped - given), 0.0)
                out[row, col] += given - caught
                trapped += caught - given
    return out


@pytest.mark.parametrize("args", [(1e-4, 0.7, 0.0, 0.1, 0.3), (1e-5, 0.9, 40.0, 0.2, 0.25)])
def test_rows_and_columns_agree_with_the_slow_definition(args):
    image = np.random.default_rng(1).uniform(0.0, 5000.0, (60, 25)).astype(np.float32)
    expected = slow_defer(image, *args)
    rows, columns = image.copy(), np.ascontiguousarray(image.T)
    defer_rows(rows, *args)
    defer_columns(columns, *args)
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=0.02)
    np.testing.assert_allclose(columns.T, rows, rtol=1e-5, atol=0.02)


def shifted_out(column, inefficiency, overscan):
    """Read a column transfer by transfer: each leaves a fraction in the pixel behind; an independent model."""
    pixels, out = np.concatenate([[0.0], column, np.zeros(overscan)]).astype(float), []
    for _ in range(column.size + overscan):
        moving = pixels * (1.0 - inefficiency)
        pixels = np.concatenate([moving[1:], [0.0]]) + inefficiency * pixels
        out.append(pixels[0])
        pixels[0] = 0.0
    return np.array(out)


@pytest.mark.parametrize("level", [0.0, 30000.0])
def test_one_pass_agrees_with_transfer_by_transfer(level):
    column = np.full(150, level)
    column[[20, 21, 100]] = 50000.0
    expected = shifted_out(column, 2e-5, 12)
    moved = np.concatenate([column, np.zeros(12)]).astype(np.float32)[:, None]
    defer_rows(moved, 2e-5, 1.0, 0.0, 0.1, 1.0)
    assert expected.sum() == pytest.approx(column.sum(), rel=1e-9)
    largest = 150 * 2e-5 * 50000.0  # what the last pixels leave behind
    np.testing.assert_allclose(moved[:, 0], expected, atol=0.02 * largest)


def test_deferred_charge_is_conserved_once_the_traps_have_emptied():
    image = np.zeros((400, 8), np.float32)
    image[:200] = 30000.0
    moved = image.copy()
    defer_rows(moved, 1e-5, 0.5, 100.0, 0.2, 0.2)
    assert moved[200:].sum() > 1000.0
    assert moved.sum(dtype=float) == pytest.approx(image.sum(dtype=float), rel=1e-6)


def frames(ccd, light, count, band=""):
    """Return the mean of some exposures [ADU]."""
    return np.mean([ccd.expose(light, 1.0, np.random.default_rng(k)).raw for k in range(count)], axis=0)


@pytest.mark.parametrize("direction", ["serial", "parallel"])
def test_extended_pixel_edge_response_gives_the_inefficiency(make_ccd, make_chip, even, direction):
    """Deferred charge of a flat in the overscan over last signal and number of transfers."""
    detector = make_chip(256, 256)
    spec = {"inefficiency": 8e-6, "scatter": 0.3, "release_px": 0.6}
    ccd = make_ccd(detector, **{f"{direction}_transfer": spec}, bias=NO_STRUCTURE, read_noise={})
    level = 60000.0
    raw = frames(ccd, even(ccd, level), 12) - 1000.0
    truth = ccd.inefficiencies[0 if direction == "parallel" else 1]
    for order, gain, expected in zip(ccd.orders, ccd.gains, truth, strict=True):
        segment = read_ordered(order, raw) * gain
        rows, columns = order.data
        if direction == "serial":
            trail, transfers = segment[rows, columns.stop : columns.stop + 6].sum(1).mean(), columns.stop
        else:
            trail, transfers = segment[rows.stop : rows.stop + 6, columns].sum(0).mean(), rows.stop
        assert trail / (level * transfers) == pytest.approx(expected, rel=0.06)


def read_ordered(order, raw):
    """Return an amplifier's segment from the raw frame by its sections."""
    segment = np.zeros(order.shape)
    for box, place in order.boxes():
        pixels = raw[box.y.start : box.y.stop, box.x.start : box.x.stop]
        segment[place] = pixels[:: 1 if order.bottom else -1, :: 1 if order.left else -1]
    return segment


def test_tails_of_stars_give_the_inefficiency_and_grow_with_the_number_of_transfers(make_ccd, make_chip):
    detector = make_chip(256, 256, columns=1, stories=1, gain=1.0, read_noise=0.0)
    ccd = make_ccd(
        detector, shot_noise=False, parallel_transfer={"inefficiency": 2e-5, "scatter": 0.0, "release_px": 0.4}
    )
    light = np.zeros(ccd.shape, np.float32)
    rows = np.array([20, 120, 220])
    light[rows, 128] = 50000.0
    raw = detector.trim(ccd.expose(light, 1.0, np.random.default_rng(1)).raw).astype(float)
    tail = np.array([raw[row + 1 : row + 8, 128].sum() for row in rows])
    np.testing.assert_allclose(tail / 50000.0 / (rows + 1), 2e-5, rtol=0.1)
    assert raw[rows[2] - 1, 128] == 0.0


def test_a_register_trap_defers_a_fixed_charge_from_flats(make_ccd, make_chip, even):
    spec = {"inefficiency": 0.0, "trap_electrons": 80.0, "trap_fill": 0.1, "trap_release_px": 2.0}
    detector = make_chip(128, 128, columns=1, stories=1, gain=1.0)
    ccd = make_ccd(detector, serial_transfer=spec, bias=NO_STRUCTURE, read_noise={})
    for level, held in ((400.0, 40.0), (2000.0, 80.0), (20000.0, 80.0)):
        raw = frames(ccd, even(ccd, level), 4) - 1000.0
        segment = read_ordered(ccd.orders[0], raw)
        assert segment[:128, ccd.orders[0].data[1].stop :].sum(1).mean() == pytest.approx(held, rel=0.06)


def test_a_single_trap_takes_its_charge_from_the_first_light_that_passes():
    image = np.zeros((30, 3), np.float32)
    image[10:20, 1] = 100.0
    catch_in_traps(image, np.array([4]), np.array([1]), np.array([70.0]), 0.25)
    assert image[10, 1] == 30.0
    assert image[11:20, 1].tolist() == [100.0] * 9
    np.testing.assert_allclose(image[20:24, 1], 70.0 * 0.25 * 0.75 ** np.arange(4), rtol=1e-5)
    assert not image[:, [0, 2]].any()
