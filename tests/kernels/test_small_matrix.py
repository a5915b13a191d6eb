"""Inverses of small matrices."""

import numpy as np
import pytest

from etendue.kernels.small_matrix import invert


@pytest.mark.parametrize("n", [1, 3, 6])
def test_an_inverse_times_the_matrix_is_one(n):
    rng = np.random.default_rng(n)
    scale = 10.0 ** rng.uniform(-8.0, 8.0, n)
    matrix = (rng.normal(0.0, 1.0, (n, n)) + 3.0 * np.eye(n)) * np.outer(scale, scale)
    out = np.empty((n, n))
    assert invert(matrix, out)
    np.testing.assert_allclose(out @ matrix * np.outer(scale, 1.0 / scale), np.eye(n), atol=1e-9)


@pytest.mark.parametrize("matrix", [np.zeros((2, 2)), np.ones((3, 3)), np.full((2, 2), np.nan), np.diag([1.0, 0.0])])
def test_a_singular_matrix_has_none(matrix):
    out = np.empty(matrix.shape)
    assert not invert(matrix, out)
    assert np.isnan(out).all()
