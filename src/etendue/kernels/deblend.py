"""Share the light of overlapping sources among them, on plain arrays.

Point sources keep the shape of the PSF; the others are symmetric about their centre and nowhere brighter than further
in (as in the deblenders of SDSS, Lupton 2001, and scarlet, Melchior et al. 2018). Models are found step by step: each
source gets the part of what all models leave that its model has of their sum, and is then made to obey its constraints.
"""

import numpy as np
from numba import njit, types

from etendue.kernels.source_light import add_light
from etendue.kernels.types import BOOL, BOOL_1D, F32_1D, F64, F64_1D, F64_2D, F64_2D_OUT, I64, I64_1D, I64_2D

_F32_2D_OUT = types.Array(types.float32, 2, "C")
_F32_1D_OUT = types.Array(types.float32, 1, "C")
_IMAGE = types.Array(types.float64, 2, "C")


@njit([types.void(_F32_2D_OUT, F64, F64)], cache=True, nogil=True, error_model="numpy")
def make_symmetric(model, x, y):
    """Average a model with itself turned by half a circle, in place; pixels whose partner is off the model stay.

    Parameters
    ----------
    model : ndarray, float32, shape (h, w)
        Changed in place.
    x, y : float
        Centre [px], used to half a pixel.
    """
    height, width = model.shape
    sum_x, sum_y = int(np.rint(2.0 * x)), int(np.rint(2.0 * y))
    for j in range(max(0, sum_y - height + 1), min(height, sum_y // 2 + 1)):
        k = sum_y - j
        if k >= height:
            continue
        for i in range(max(0, sum_x - width + 1), min(width, sum_x + 1)):
            m = sum_x - i
            if k == j and m < i:
                break
            mean = 0.5 * (model[j, i] + model[k, m])
            model[j, i] = mean
            model[k, m] = mean


@njit([F64(_F32_2D_OUT, I64, I64, I64, I64)], cache=True, nogil=True, error_model="numpy")
def _further_in(model, j, i, dy, dx):
    """Return the model one ring of squares further in on the way to the centre, interpolated along that ring."""
    height, width = model.shape
    if abs(dx) >= abs(dy):
        column = i - 1 if dx > 0 else i + 1
        place = j - dy + dy * (abs(dx) - 1.0) / abs(dx)
        low = int(np.floor(place))
        part = place - low
        first = model[min(max(low, 0), height - 1), column]
        return (1.0 - part) * first + part * model[min(max(low + 1, 0), height - 1), column]
    row = j - 1 if dy > 0 else j + 1
    place = i - dx + dx * (abs(dy) - 1.0) / abs(dy)
    low = int(np.floor(place))
    part = place - low
    first = model[row, min(max(low, 0), width - 1)]
    return (1.0 - part) * first + part * model[row, min(max(low + 1, 0), width - 1)]


@njit([types.void(_F32_2D_OUT, I64, I64)], cache=True, nogil=True, error_model="numpy")
def make_monotonic(model, column, row):
    """Lower every pixel of a model to what lies further in, in place, ring by ring outwards.

    Parameters
    ----------
    model : ndarray, float32, shape (h, w)
        Changed in place.
    column, row : int
        The pixel from which the light falls.
    """
    height, width = model.shape
    for ring in range(1, max(max(row, height - 1 - row), max(column, width - 1 - column)) + 1):
        for dy in range(-ring, ring + 1):
            j = row + dy
            if not 0 <= j < height:
                continue
            step = 1 if abs(dy) == ring else 2 * ring
            for dx in range(-ring, ring + 1, step):
                i = column + dx
                if 0 <= i < width:
                    model[j, i] = min(model[j, i], _further_in(model, j, i, dy, dx))


@njit([_IMAGE(F64_2D, F64_2D)], cache=True, nogil=True, error_model="numpy")
def _quietened(data, variance):
    """Return data averaged over 3 x 3 pixels where they are faint; as they are where they exceed 5 sigma by much."""
    height, width = data.shape
    quiet = np.empty(data.shape)
    for j in range(height):
        for i in range(width):
            total = weight = 0.0
            for k in range(max(0, j - 1), min(height, j + 2)):
                for m in range(max(0, i - 1), min(width, i + 2)):
                    if variance[k, m] < np.inf:
                        w = (2.0 - abs(k - j)) * (2.0 - abs(m - i))
                        total, weight = total + w * data[k, m], weight + w
            smooth = total / weight if weight > 0.0 else 0.0
            quiet[j, i] = smooth
            if variance[j, i] < np.inf:
                trust = max(smooth, 0.0) ** 2 / (25.0 * variance[j, i])
                quiet[j, i] = (smooth + trust * data[j, i]) / (1.0 + trust)
    return quiet


@njit(
    [types.void(_F32_1D_OUT, F64_2D, F64_2D, F64_2D, I64, I64, I64, I64, I64, I64, I64, BOOL, F64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _take_share(value, quiet, total, variance, start, x0, y0, width, height, left, low, is_point, n_shapes):
    """Add to a model its share of what all models leave; a point source keeps its shape.

    Shapes count as a sigma brighter than they are, so that they come back from nothing.
    """
    above = below = 0.0
    for j in range(max(0, low - y0), min(height, low + quiet.shape[0] - y0)):
        line = start + j * width
        for i in range(max(0, left - x0), min(width, left + quiet.shape[1] - x0)):
            row, column = y0 + j - low, x0 + i - left
            v, model = variance[row, column], value[line + i]
            if not v < np.inf:
                continue
            sigma = np.sqrt(v)
            share = (model + (0.0 if is_point else sigma)) / (total[row, column] + n_shapes * sigma)
            better = model + share * (quiet[row, column] - total[row, column])
            if is_point:
                above, below = above + model * better, below + model * model
            else:
                value[line + i] = max(better, 0.0)
    if is_point and below > 0.0:
        for k in range(start, start + width * height):
            value[k] *= above / below


@njit(
    [types.void(_F32_1D_OUT, F64_2D, I64, I64, I64, I64, I64, I64, I64, F64, F64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _first_model(value, data, start, x0, y0, width, height, left, low, x, y):
    """Fill a model with the fainter of each pixel and the one opposite, not below zero, and make it fall outwards."""
    model = value[start : start + width * height].reshape((height, width))
    sum_x, sum_y = int(np.rint(2.0 * (x - x0))), int(np.rint(2.0 * (y - y0)))
    for j in range(height):
        for i in range(width):
            light = data[y0 + j - low, x0 + i - left]
            if 0 <= sum_y - j < height and 0 <= sum_x - i < width:
                light = min(light, data[y0 + sum_y - j - low, x0 + sum_x - i - left])
            model[j, i] = max(light, 0.0)
    make_monotonic(model, int(np.rint(x)) - x0, int(np.rint(y)) - y0)


@njit(
    [types.void(_F32_1D_OUT, F64_2D, F64_2D, F64_2D, I64, I64, I64, I64, I64, I64, I64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _take_rest(value, data, total, variance, start, x0, y0, width, height, left, low):
    """Give a model its part of what all models leave of the data, where they stand out from the noise."""
    for j in range(max(0, low - y0), min(height, low + data.shape[0] - y0)):
        line = start + j * width
        for i in range(max(0, left - x0), min(width, left + data.shape[1] - x0)):
            row, column = y0 + j - low, x0 + i - left
            model, v = total[row, column], variance[row, column]
            if v < np.inf and model > 0.0:
                shared = model * model / (model * model + v)
                value[line + i] *= 1.0 + shared * (data[row, column] - model) / model


@njit([types.void(F64_2D_OUT, F64_2D, F64, F64_2D, F64_2D, I64, I64)], cache=True, nogil=True, error_model="numpy")
def _weigh_by_model(weight_variance, variance, slope, data, total, left, low):
    """Set the variance to weight by to that of the models in a box."""
    for j in range(data.shape[0]):
        for i in range(data.shape[1]):
            if weight_variance[low + j, left + i] < np.inf:
                v = variance[low + j, left + i]
                model = v - slope * (data[j, i] - total[j, i])
                weight_variance[low + j, left + i] = min(max(model, 0.01 * v), 4.0 * v)


@njit(
    [_IMAGE(_F32_1D_OUT, F64_2D, F64_2D, I64_1D, BOOL_1D, F64_1D, F64_1D, I64_1D, I64_2D, I64, I64, I64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _fit_models(value, data, variance, own, is_point, x, y, offset, box, left, low, rounds):
    """Fit the models of a group, whose point sources are filled already; return their sum."""
    quiet, total = _quietened(data, variance), np.zeros(data.shape)
    for s in own:
        if is_point[s]:
            add_light(total, value, offset[s], box[s, 0] - left, box[s, 1] - low, box[s, 2], box[s, 3], 1.0)
    without_points = quiet - total
    for s in own:
        b = box[s]
        if not is_point[s]:
            _first_model(value, without_points, offset[s], b[0], b[1], b[2], b[3], left, low, x[s], y[s])
            add_light(total, value, offset[s], b[0] - left, b[1] - low, b[2], b[3], 1.0)
    n_shapes = 0.0
    for s in own:
        n_shapes += 0.0 if is_point[s] else 1.0
    for _ in range(rounds):
        for s in own:
            b = box[s]
            _take_share(
                value, quiet, total, variance, offset[s], b[0], b[1], b[2], b[3], left, low, is_point[s], n_shapes
            )
            if not is_point[s]:
                model = value[offset[s] : offset[s + 1]].reshape((b[3], b[2]))
                make_symmetric(model, x[s] - b[0], y[s] - b[1])
                make_monotonic(model, int(np.rint(x[s])) - b[0], int(np.rint(y[s])) - b[1])
        total[:, :] = 0.0
        for s in own:
            add_light(total, value, offset[s], box[s, 0] - left, box[s, 1] - low, box[s, 2], box[s, 3], 1.0)
    return total


@njit(
    [
        types.void(
            F64_2D_OUT, F64_2D_OUT, F64_2D, F64, I64_2D, I64_1D, I64_1D, BOOL_1D, F64_1D, F64_1D, F32_1D, I64_1D,
            I64_2D, _F32_1D_OUT, I64_1D, I64_2D, I64,
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def deblend(
    residual, weight_variance, variance, slope, boxes, first, members, is_point, x, y, old_value, old_offset, old_box,
    value, offset, box, rounds,
):  # fmt: skip
    """Share the light inside boxes among the sources of each.

    What the models leave is shared too where they stand out from the noise, and stays in the residual where not:
    ``light_i = M_i + s R M_i / sum_j M_j`` with ``s = (sum M)^2 / ((sum M)^2 + V)``, so nothing is lost.

    Parameters
    ----------
    residual : ndarray, float64, shape (ny, nx)
        Image minus the old light of all sources; on return minus the new one.
    weight_variance : ndarray, float64, shape (ny, nx)
        Variance without the fluctuations of the data, infinite where unusable; set anew in the boxes.
    variance : ndarray, float64, shape (ny, nx)
        Noise variance of the data.
    slope : float
        Rise of the variance with the pixel value.
    boxes : ndarray, int64, shape (n_groups, 4)
        First column, first row, width and height of each group's box, which lies on the image.
    first : ndarray, int64, shape (n_groups + 1,)
        Where each group begins in ``members``.
    members : ndarray, int64, shape (m,)
        Sources of the groups.
    is_point : ndarray, bool, shape (n,)
        Sources that keep their shape.
    x, y : ndarray, float64, shape (n,)
        Centres [px].
    old_value, old_offset, old_box : ndarray
        Light that was subtracted of each source; boxes as columns x0, y0, width, height.
    value, offset, box : ndarray
        New light in the same form: point sources among the members come with their shape, the other members are filled.
        Boxes of these lie inside the box of their group.
    rounds : int
        Updates.
    """
    for g in range(first.size - 1):
        left, low, width, height = boxes[g]
        own = members[first[g] : first[g + 1]]
        data, noise = np.empty((height, width)), np.empty((height, width))
        for j in range(height):
            for i in range(width):
                data[j, i] = residual[low + j, left + i]
                noise[j, i] = weight_variance[low + j, left + i]
        for s in own:
            b = old_box[s]
            add_light(data, old_value, old_offset[s], b[0] - left, b[1] - low, b[2], b[3], 1.0)
        # One source alone has nobody to share with: its first model will do.
        updates = rounds if own.size > 1 else 1
        total = _fit_models(value, data, noise, own, is_point, x, y, offset, box, left, low, updates)
        _weigh_by_model(weight_variance, variance, slope, data, total, left, low)
        for s in own:
            b, a = box[s], old_box[s]
            _take_rest(value, data, total, noise, offset[s], b[0], b[1], b[2], b[3], left, low)
            add_light(residual, old_value, old_offset[s], a[0], a[1], a[2], a[3], 1.0)
            add_light(residual, value, offset[s], b[0], b[1], b[2], b[3], -1.0)
