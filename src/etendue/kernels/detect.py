"""Detection kernels on plain arrays: matched filter, peaks, connected components."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import BOOL_2D, F32, F32_2D, F64, F64_1D, I32, I32_2D, I32_2D_OUT, I64, I64_1D

_IMAGE = types.Array(types.float32, 2, "C")
_REAL = types.Array(types.float64, 1, "C")
_INT = types.Array(types.int64, 1, "C")
_BOOL = types.Array(types.boolean, 1, "C")


@njit(inline="always")
def _add_eight(total, row, taps, i):
    """Add eight taps of a kernel's row to the sums of a line, in order."""
    a, b, c, d, e, f, g, h = (
        taps[i],
        taps[i + 1],
        taps[i + 2],
        taps[i + 3],
        taps[i + 4],
        taps[i + 5],
        taps[i + 6],
        taps[i + 7],
    )
    row = row[i:]
    for x in range(total.size):
        near = total[x] + a * row[x] + b * row[x + 1] + c * row[x + 2] + d * row[x + 3]
        total[x] = near + e * row[x + 4] + f * row[x + 5] + g * row[x + 6] + h * row[x + 7]


@njit([types.void(types.Array(F32, 1, "C"), _IMAGE, _IMAGE, I64)], cache=True, nogil=True, error_model="numpy")
def _correlate_line(total, ring, kernel, first):
    """Correlate the rows of a ring, which begin at row ``first`` of it, with a kernel."""
    total[:] = np.float32(0.0)
    for j in range(kernel.shape[0]):
        for i in range(0, kernel.shape[1], 8):
            _add_eight(total, ring[(first + j) % ring.shape[0]], kernel[j], i)


@njit(inline="always")
def _load_line(image, variance, bad, y, half, weighted, weight, good):
    """Fill one row of the rings, zeros outside the image; tell whether a pixel of it is unusable."""
    ny, nx = image.shape
    weighted[:], weight[:], good[:] = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    if y < 0 or y >= ny:
        return True
    holes = False
    for x in range(nx):
        v = variance[y, x]
        usable = not bad[y, x] and v > 0.0 and np.isfinite(v) and np.isfinite(image[y, x])
        if usable:
            weight[half + x] = np.float32(1.0) / v
            weighted[half + x] = image[y, x] / v
            good[half + x] = np.float32(1.0)
        holes = holes or not usable
    return holes


@njit([_IMAGE(F32_2D, F32_2D, BOOL_2D, F32_2D)], cache=True, nogil=True, error_model="numpy")
def matched_filter(image, variance, bad, psf):
    """Compute the significance of a point source centred on every pixel.

    ``sum(p I / V) / sqrt(sum(p^2 / V))`` over the good pixels under the PSF: the S/N of the best-fitting flux. The rows
    under the PSF are kept in rings that fit the cache; where none of them has a hole, coverage is not summed.

    Parameters
    ----------
    image, variance : ndarray, float32, shape (ny, nx)
        Background-subtracted image and its variance.
    bad : ndarray, bool, shape (ny, nx)
        True where a pixel must not be used.
    psf : ndarray, float32, shape (k, k)
        PSF, centred on its middle pixel.

    Returns
    -------
    ndarray, float32, shape (ny, nx)
        Significance; zero where the good pixels hold less than a tenth of the PSF's summed square.
    """
    ny, nx = image.shape
    size = psf.shape[0]
    half, width = size // 2, 8 * ((size + 7) // 8)
    taps, squares = np.zeros((size, width), np.float32), np.zeros((size, width), np.float32)
    taps[:, :size], squares[:, :size] = psf, psf * psf
    shape = (size, nx + width + 8)
    weighted, weight, good = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    holes, stale = np.ones(size, np.bool_), True
    numerator, denominator, covered = np.empty(nx, np.float32), np.empty(nx, np.float32), np.empty(nx, np.float32)
    out = np.empty((ny, nx), np.float32)
    least = np.float32(0.1) * squares.sum()
    for y in range(-half, ny + half):
        k = (y + half) % size
        holes[k] = _load_line(image, variance, bad, y, half, weighted[k], weight[k], good[k])
        if y < half:
            continue
        _correlate_line(numerator, weighted, taps, k + 1)
        _correlate_line(denominator, weight, squares, k + 1)
        if holes.any() or stale:
            _correlate_line(covered, good, squares, k + 1)
        stale = bool(holes.any())
        for x in range(nx):
            usable = covered[x] > least
            out[y - half, x] = numerator[x] / np.sqrt(denominator[x]) if usable else np.float32(0.0)
    return out


@njit(inline="always")
def _is_peak(image, j, i):
    """Tell whether a pixel is not below its neighbours, and above those that precede it in memory."""
    v = image[j, i]
    if v <= image[j, i - 1] or v < image[j, i + 1]:
        return False
    above = max(image[j - 1, i - 1], image[j - 1, i], image[j - 1, i + 1])
    below = max(image[j + 1, i - 1], image[j + 1, i], image[j + 1, i + 1])
    return v > above and v >= below


@njit([types.Tuple((_REAL, _REAL, _REAL))(F32_2D, I64_1D, I64_1D, I64_1D)], cache=True, nogil=True, error_model="numpy")
def peaks_in_spans(significance, span_y, span_x0, span_x1):
    """Find the local maxima of a significance map inside spans.

    A maximum is not below any of its eight neighbours and above the four that precede it in memory (so that a plateau
    of equal pixels counts once); it is refined by a parabola along each axis, by less than half a pixel.

    Parameters
    ----------
    significance : ndarray, float32, shape (ny, nx)
        Map; pixels on the outermost rows and columns are never maxima.
    span_y, span_x0, span_x1 : ndarray, int64, shape (n_spans,)
        Row, first and one-past-last column of the spans, in row order.

    Returns
    -------
    x, y, value : ndarray, float64, shape (n,)
        Positions [px] and map values at the maxima, in row order.
    """
    ny, nx = significance.shape
    capacity = 0
    for k in range(span_y.size):
        capacity += (span_x1[k] - span_x0[k] + 1) // 2
    xs, ys, values, n = np.empty(capacity), np.empty(capacity), np.empty(capacity), 0
    for k in range(span_y.size):
        j = span_y[k]
        if j < 1 or j >= ny - 1:
            continue
        for i in range(max(span_x0[k], 1), min(span_x1[k], nx - 1)):
            if not _is_peak(significance, j, i):
                continue
            v = significance[j, i]
            curve_x = 2.0 * v - significance[j, i - 1] - significance[j, i + 1]
            curve_y = 2.0 * v - significance[j - 1, i] - significance[j + 1, i]
            step_x = significance[j, i + 1] - significance[j, i - 1]
            step_y = significance[j + 1, i] - significance[j - 1, i]
            xs[n] = i + (0.499 * step_x / curve_x if curve_x > 0.0 else 0.0)
            ys[n] = j + (0.499 * step_y / curve_y if curve_y > 0.0 else 0.0)
            values[n] = v
            n += 1
    return xs[:n].copy(), ys[:n].copy(), values[:n].copy()


@njit([I64(types.Array(types.int64, 1, "C"), I64)], cache=True, nogil=True, error_model="numpy")
def _root(parent, i):
    """Return the representative of a run, halving the path on the way."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit([types.Tuple((_INT, _INT, _INT))(BOOL_2D)], cache=True, nogil=True, error_model="numpy")
def _runs(above):
    """Return row, first and one-past-last column of every horizontal run of True."""
    ny, nx = above.shape
    capacity = ny * (nx // 2 + 1)
    row, start, stop = np.empty(capacity, np.int64), np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    n = 0
    for y in range(ny):
        x = 0
        while x < nx:
            if above[y, x]:
                row[n], start[n] = y, x
                while x < nx and above[y, x]:
                    x += 1
                stop[n] = x
                n += 1
            x += 1
    return row[:n].copy(), start[:n].copy(), stop[:n].copy()


@njit([_INT(I64_1D, I64_1D, I64_1D)], cache=True, nogil=True, error_model="numpy")
def span_owners(row, start, stop):
    """Label the 8-connected regions that spans form.

    Parameters
    ----------
    row, start, stop : ndarray, int64, shape (n_spans,)
        Row, first and one-past-last column of every span, in row order.

    Returns
    -------
    ndarray, int64, shape (n_spans,)
        Region of the span, counted from 0 in the order of the regions' first spans.
    """
    n = row.size
    parent = np.arange(n)
    previous = 0
    for i in range(n):
        while previous < i and (
            row[previous] < row[i] - 1 or (row[previous] == row[i] - 1 and stop[previous] < start[i])
        ):
            previous += 1
        k = previous
        while k < i and row[k] == row[i] - 1 and start[k] <= stop[i]:
            a, b = _root(parent, k), _root(parent, i)
            parent[max(a, b)] = min(a, b)
            k += 1
    owner = np.empty(n, np.int64)
    count = 0
    for i in range(n):
        root = _root(parent, i)
        if root == i:
            owner[i] = count
            count += 1
        else:
            owner[i] = owner[root]
    return owner


@njit([types.Tuple((_INT, _INT, _INT, _INT))(BOOL_2D)], cache=True, nogil=True, error_model="numpy")
def connected_spans(above):
    """Label the 8-connected regions of a boolean image, as horizontal spans.

    Parameters
    ----------
    above : ndarray, bool, shape (ny, nx)
        True inside the regions.

    Returns
    -------
    y, x0, x1 : ndarray, int64, shape (n_spans,)
        Row, first and one-past-last column of every span, in row order.
    owner : ndarray, int64, shape (n_spans,)
        Region of the span, counted from 0 in the order of the regions' first spans.
    """
    row, start, stop = _runs(above)
    return row, start, stop, span_owners(row, start, stop)


@njit([types.Tuple((_INT, _INT, _INT))(F32_2D, F32)], cache=True, nogil=True, error_model="numpy")
def spans_above(image, threshold):
    """Find the horizontal runs of pixels that are not below a threshold.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Image; NaN is below everything.
    threshold : float
        Lowest value inside.

    Returns
    -------
    y, x0, x1 : ndarray, int64, shape (n_spans,)
        Row, first and one-past-last column of every span, in row order.
    """
    ny, nx = image.shape
    capacity = ny * (nx // 2 + 1)
    row, start, stop = np.empty(capacity, np.int64), np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    n = 0
    for y in range(ny):
        line, x = image[y], 0
        while x < nx:
            while x + 16 <= nx:  # sixteen pixels at once where nothing is above
                highest = line[x]
                for i in range(1, 16):
                    highest = max(highest, line[x + i])
                if highest >= threshold:
                    break
                x += 16
            while x < nx and not line[x] >= threshold:
                x += 1
            if x < nx:
                row[n], start[n] = y, x
                while x < nx and line[x] >= threshold:
                    x += 1
                stop[n] = x
                n += 1
    return row[:n].copy(), start[:n].copy(), stop[:n].copy()


@njit([types.Tuple((_INT, _INT, _INT))(I32_2D, I32)], cache=True, nogil=True, error_model="numpy")
def masked_spans(mask, bits):
    """Find the horizontal runs of pixels with any of some bits.

    Parameters
    ----------
    mask : ndarray, int32, shape (ny, nx)
        Mask.
    bits : int
        Bits looked for.

    Returns
    -------
    y, x0, x1 : ndarray, int64, shape (n_spans,)
        Row, first and one-past-last column of every span, in row order.
    """
    ny, nx = mask.shape
    capacity, n = 1024, 0
    row, start, stop = np.empty(capacity, np.int64), np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    for y in range(ny):
        line, any_set = mask[y], np.int32(0)
        for x in range(nx):
            any_set |= line[x]
        if any_set & bits == 0:
            continue
        if n + nx // 2 + 1 > capacity:
            more = np.empty(capacity + nx, np.int64)
            row, start, stop = (
                np.concatenate((row, more)), np.concatenate((start, more)), np.concatenate((stop, more))
            )  # fmt: skip
            capacity = row.size
        inside = False
        for x in range(nx):
            if (line[x] & bits != 0) != inside:
                inside = not inside
                if inside:
                    row[n], start[n] = y, x
                else:
                    stop[n] = x
                    n += 1
        if inside:
            stop[n] = nx
            n += 1
    return row[:n].copy(), start[:n].copy(), stop[:n].copy()


@njit([types.Array(types.boolean, 2, "C")(I64_1D, I64_1D, I64_1D, I64, I64, I64)], cache=True, nogil=True)
def grown_spans(y, x0, x1, margin, ny, nx):
    """Paint spans grown by a square.

    Parameters
    ----------
    y, x0, x1 : ndarray, int64, shape (n_spans,)
        Spans.
    margin : int
        Half side of the square [px].
    ny, nx : int
        Shape of the image.

    Returns
    -------
    ndarray, bool, shape (ny, nx)
        True inside.
    """
    out = np.zeros((ny, nx), np.bool_)
    for i in range(y.size):
        for row in range(max(y[i] - margin, 0), min(y[i] + margin + 1, ny)):
            out[row, max(x0[i] - margin, 0) : min(x1[i] + margin, nx)] = True
    return out


@njit([_BOOL(I32_2D, I32, I64_1D, I64_1D, I64)], cache=True, nogil=True, error_model="numpy")
def is_empty(mask, bits, x, y, radius):
    """Tell around which pixels no bit of some is set.

    Parameters
    ----------
    mask : ndarray, int32, shape (ny, nx)
        Mask.
    bits : int
        Bits that must not be set.
    x, y : ndarray, int64, shape (n,)
        Pixels.
    radius : int
        Half side of the square that must be empty and on the image [px].

    Returns
    -------
    ndarray, bool, shape (n,)
        True where it is.
    """
    ny, nx = mask.shape
    empty = np.zeros(x.size, np.bool_)
    for i in range(x.size):
        if x[i] < radius or y[i] < radius or x[i] >= nx - radius or y[i] >= ny - radius:
            continue
        found = np.int32(0)
        for row in range(y[i] - radius, y[i] + radius + 1):
            for col in range(x[i] - radius, x[i] + radius + 1):
                found |= mask[row, col]
        empty[i] = found & bits == 0
    return empty


@njit([types.void(I32_2D_OUT, I64_1D, I64_1D, I64_1D, I32)], cache=True, nogil=True, error_model="numpy")
def paint_spans(mask, y, x0, x1, bits):
    """Set bits of a mask inside spans, in place.

    Parameters
    ----------
    mask : ndarray, int32, shape (ny, nx)
        Changed.
    y, x0, x1 : ndarray, int64, shape (n_spans,)
        Spans inside the mask.
    bits : int
        What to set.
    """
    for i in range(y.size):
        line = mask[y[i]]
        for x in range(x0[i], x1[i]):
            line[x] |= bits


@njit([_BOOL(F64_1D, F64_1D, F64_1D, F64_1D, F64, F64)], cache=True, nogil=True, error_model="numpy")
def stands_out(x, y, value, profile, threshold, tolerance):
    """Tell which peaks exceed what the wings of brighter peaks put there.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Peaks [px], sorted by row (rising integer part of y).
    value : ndarray, float64, shape (n,)
        Significance of the peaks.
    profile : ndarray, float64, shape (m,)
        Matched-filter response to a point source at distances 0, 1, 2... px, relative to its peak.
    threshold : float
        Significance that must be left.
    tolerance : float
        Fraction of a wing that may be wrong.

    Returns
    -------
    ndarray, bool, shape (n,)
        True where ``value - sum(wings) >= threshold + tolerance * sum(wings)``.
    """
    n, reach = x.size, profile.size - 1.0
    keep = np.ones(n, np.bool_)
    first = 0
    for i in range(n):
        while y[first] < y[i] - reach - 1.0:
            first += 1
        wings = 0.0
        for k in range(first, n):
            if y[k] > y[i] + reach + 1.0:
                break
            if not value[k] > value[i] or abs(x[k] - x[i]) >= reach:
                continue
            distance = np.hypot(x[k] - x[i], y[k] - y[i])
            if distance < reach:
                cell = int(distance)
                wings += value[k] * (profile[cell] + (distance - cell) * (profile[cell + 1] - profile[cell]))
        keep[i] = value[i] - wings >= threshold + tolerance * wings if wings > 0.0 else value[i] >= threshold
    return keep


@njit([_INT(I64_1D, I64_1D, I64_1D, I64_1D, I64_1D, I64_1D)], cache=True, nogil=True, error_model="numpy")
def owner_at(span_y, span_x0, span_x1, owner, x, y):
    """Find the region that contains each point.

    Parameters
    ----------
    span_y, span_x0, span_x1, owner : ndarray, int64, shape (n_spans,)
        Spans in row order, as `connected_spans` returns them.
    x, y : ndarray, int64, shape (n,)
        Pixels.

    Returns
    -------
    ndarray, int64, shape (n,)
        Region, or -1 outside of all.
    """
    found = np.full(x.size, -1)
    for i in range(x.size):
        k = np.searchsorted(span_y, y[i])
        while k < span_y.size and span_y[k] == y[i]:
            if span_x0[k] <= x[i] < span_x1[k]:
                found[i] = owner[k]
            k += 1
    return found
