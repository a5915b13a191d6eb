"""Windowed centroids of Gaussian stars."""

import numpy as np

from etendue.kernels.windowed import windowed_centroids


def star(x, y, sigma=1.5, flux=1000.0, shape=(41, 43)):
    rows, cols = np.indices(shape)
    shape_ = np.exp(-0.5 * ((cols - x) ** 2 + (rows - y) ** 2) / sigma**2)
    return (flux * shape_ / (2.0 * np.pi * sigma**2)).astype(np.float32)


def test_a_gaussian_star_is_found_where_it_is_with_its_flux():
    image, bad = star(20.3, 18.7), np.zeros((41, 43), bool)
    x, y, flux = windowed_centroids(image, bad, np.array([21.0]), np.array([18.0]), 1.5, 20)
    assert (abs(x[0] - 20.3), abs(y[0] - 18.7)) < (0.003, 0.003)
    assert abs(flux[0] / 1000.0 - 1.0) < 0.01


def test_nothing_but_noise_below_zero_keeps_the_first_position():
    x, y, flux = windowed_centroids(
        np.full((41, 43), -1.0, np.float32), np.zeros((41, 43), bool), np.array([21.0]), np.array([18.0]), 1.5, 20
    )
    assert (x[0], y[0]) == (21.0, 18.0)
    assert np.isnan(flux[0])


def test_a_bad_pixel_is_left_out():
    image, bad = star(20.0, 18.0), np.zeros((41, 43), bool)
    image[16, 20], bad[16, 20] = 1e6, True
    bad[20, 20] = True  # its mirror image, so that the centroid stays
    x, y, _ = windowed_centroids(image, bad, np.array([20.0]), np.array([18.0]), 1.5, 20)
    assert abs(x[0] - 20.0) + abs(y[0] - 18.0) < 0.01
