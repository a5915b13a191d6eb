import numpy as np

from etendue.tasks.streak.edge_pieces import pieces_at_edges

LIMITS = {"depth": 64, "edge": 4.0, "shortest": 30.0, "narrowest": 1.3, "slimness": 5.0}


def _field(*strips, size=300):
    y, x = np.mgrid[:size, :size]
    bright = np.zeros((size, size), bool)
    for x0, y0, x1, y1, width in strips:
        length = np.hypot(x1 - x0, y1 - y0)
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length
        across = ((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / length
        bright |= (np.abs(across) < 0.5 * width) & (along >= 0.0) & (along <= length)
    return bright


def test_strips_at_edges_are_given_by_their_ends_the_longest_first():
    strips = (250.0, 100.0, 320.0, 120.0, 4.0), (20.0, -20.0, 10.0, 34.0, 3.0)
    first, second, *again = pieces_at_edges(_field(*strips), **LIMITS)
    assert again in ([], [second])
    np.testing.assert_allclose(sorted(first[::2]), [250.0, 299.0], atol=1.5)
    np.testing.assert_allclose(sorted(second[1::2]), [0.0, 34.0], atol=1.5)


def test_what_is_short_or_broad_or_far_from_an_edge_or_one_column_is_none():
    strips = (
        (280.0, 100.0, 320.0, 110.0, 3.0),
        (250.0, 200.0, 320.0, 220.0, 14.0),
        (100.0, 20.0, 150.0, 30.0, 3.0),
        (50.0, 250.0, 50.0, 320.0, 0.9),
    )
    for strip in strips:
        assert _field(strip).any()
        assert pieces_at_edges(_field(strip), **LIMITS) == []
