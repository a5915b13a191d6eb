"""Light curves of many stars on many frames: ensemble solution, common trends and variability statistics."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import BOOL_1D, F64, F64_1D, F64_2D, F64_3D, I64, I64_1D

_REAL = types.Array(types.float64, 1, "C")
_TABLE = types.Array(types.float64, 2, "C")


@njit([types.Tuple((_TABLE, _REAL))(F64_1D, F64_1D, F64_2D, F64_1D)], cache=True, nogil=True)
def normal_equations(value, weight, design, ridge):
    """Sum up the normal equations of one weighted linear fit.

    Parameters
    ----------
    value, weight : ndarray, float64, shape (n,)
        Values and inverse variances; those of zero weight are passed over.
    design : ndarray, float64, shape (n, n_terms)
        Terms of the model.
    ridge : ndarray, float64, shape (n_terms,)
        Added to the diagonal.

    Returns
    -------
    normal : ndarray, float64, shape (n_terms, n_terms)
        ``A^T W A + ridge``.
    right : ndarray, float64, shape (n_terms,)
        ``A^T W v``.
    """
    n, n_terms = design.shape
    normal, right = np.diag(ridge), np.zeros(n_terms)
    for s in range(n):
        w = weight[s]
        if w > 0.0:
            for k in range(n_terms):
                right[k] += w * design[s, k] * value[s]
                for m in range(n_terms):
                    normal[k, m] += w * design[s, k] * design[s, m]
    return normal, right


@njit([types.Tuple((_TABLE, _TABLE, _TABLE))(F64_2D, F64_2D, F64_3D, F64_1D)], cache=True, nogil=True)
def solve_frames(value, weight, design, ridge):
    """Fit a linear model to the stars of every frame on its own.

    Minimises ``sum_s w_fs (v_fs - sum_k a_fsk c_fk)**2 + sum_k ridge_k c_fk**2`` for each frame f.

    Parameters
    ----------
    value, weight : ndarray, float64, shape (n_frames, n_stars)
        Values, and their inverse variances; a weight of zero leaves a value out, which must still be finite.
    design : ndarray, float64, shape (n_frames, n_stars, n_terms)
        Terms of the model, finite.
    ridge : ndarray, float64, shape (n_terms,)
        Inverse variances of the coefficients about zero; positive.

    Returns
    -------
    coefficients : ndarray, float64, shape (n_frames, n_terms)
        Best fit; zero where no star has weight.
    model : ndarray, float64, shape (n_frames, n_stars)
        The model at every star.
    variance : ndarray, float64, shape (n_frames, n_stars)
        Variance of the model at every star, ``a^T (A^T W A + ridge)^-1 a``; times a weight it is that value's leverage.
    """
    n_frames, n_stars, n_terms = design.shape
    coefficients = np.zeros((n_frames, n_terms))
    model, variance = np.zeros((n_frames, n_stars)), np.zeros((n_frames, n_stars))
    for f in range(n_frames):
        normal, right = normal_equations(value[f], weight[f], design[f], ridge)
        inverse = np.linalg.inv(normal)
        for k in range(n_terms):
            for m in range(n_terms):
                coefficients[f, k] += inverse[k, m] * right[m]
        for s in range(n_stars):
            for k in range(n_terms):
                model[f, s] += design[f, s, k] * coefficients[f, k]
                for m in range(n_terms):
                    variance[f, s] += design[f, s, k] * inverse[k, m] * design[f, s, m]
    return coefficients, model, variance


@njit([types.Tuple((_REAL, _REAL))(F64_2D, F64_2D, F64_1D, I64)], cache=True, nogil=True, error_model="numpy")
def sysrem_component(value, weight, start, iterations):
    """Find the product of a frame vector and a star vector that explains the most of the residuals.

    Alternates the two weighted means of SysRem (Tamuz, Mazeh & Zucker 2005, MNRAS 356, 1466, eqs. 2 and 4); the
    frame vector is scaled to unit mean square.

    Parameters
    ----------
    value, weight : ndarray, float64, shape (n_frames, n_stars)
        Residuals, and their inverse variances; zero weight leaves one out.
    start : ndarray, float64, shape (n_frames,)
        First frame vector, such as the airmass.
    iterations : int
        Rounds.

    Returns
    -------
    frame : ndarray, float64, shape (n_frames,)
        Trend over the frames.
    star : ndarray, float64, shape (n_stars,)
        Amplitude of the trend in each star; zero for stars without weight.
    """
    n_frames, n_stars = value.shape
    frame, star = start.copy(), np.zeros(n_stars)
    for _ in range(iterations):
        for s in range(n_stars):
            top = bottom = 0.0
            for f in range(n_frames):
                top += weight[f, s] * frame[f] * value[f, s]
                bottom += weight[f, s] * frame[f] * frame[f]
            star[s] = top / bottom if bottom > 0.0 else 0.0
        norm = 0.0
        for f in range(n_frames):
            top = bottom = 0.0
            for s in range(n_stars):
                top += weight[f, s] * star[s] * value[f, s]
                bottom += weight[f, s] * star[s] * star[s]
            frame[f] = top / bottom if bottom > 0.0 else 0.0
            norm += frame[f] * frame[f] / n_frames
        norm = np.sqrt(norm)
        if not norm > 0.0:
            return np.zeros(n_frames), np.zeros(n_stars)
        frame, star = frame / norm, star * norm
    return frame, star


@njit([_REAL(F64_1D, F64_1D, F64_1D, BOOL_1D, F64)], cache=True, nogil=True, error_model="numpy")
def predict_smooth(time, value, weight, known, width):
    """Predict a curve at all times from some of its points, by local straight lines.

    Parameters
    ----------
    time, value, weight : ndarray, float64, shape (n,)
        The curve and the inverse variances of its values.
    known : ndarray, bool, shape (n,)
        Points from which the others are predicted; a point is never used for its own prediction.
    width : float
        Standard deviation of the Gaussian weight in time.

    Returns
    -------
    ndarray, float64, shape (n,)
        Predictions; NaN where no known point is within four widths.
    """
    n = time.size
    predicted = np.full(n, np.nan)
    for i in range(n):
        s0 = s1 = s2 = v0 = v1 = 0.0
        for j in range(n):
            d = time[j] - time[i]
            if j == i or not known[j] or abs(d) > 4.0 * width:
                continue
            w = weight[j] * np.exp(-0.5 * (d / width) ** 2)
            s0, s1, s2 = s0 + w, s1 + w * d, s2 + w * d * d
            v0, v1 = v0 + w * value[j], v1 + w * d * value[j]
        if s0 > 0.0:
            spread = s2 - s1 * s1 / s0 + 0.05 * width * width * s0  # a little ridge: no wild slopes at the ends
            slope = (v1 - s1 * v0 / s0) / spread
            predicted[i] = v0 / s0 - slope * s1 / s0
    return predicted


@njit([types.Tuple((_REAL, _REAL, _REAL))(F64_1D, F64_2D, F64_2D)], cache=True, nogil=True, error_model="numpy")
def variability_statistics(time, value, weight):
    """Compute chi-square, Stetson's J and von Neumann's eta of every star.

    J pairs each measurement with the next (Stetson 1996, PASP 108, 851, eq. 1, all weights 1), eta is the mean square
    successive difference over the variance (von Neumann 1941).

    Parameters
    ----------
    time : ndarray, float64, shape (n_frames,)
        Rising times; pairs farther apart than five times the median step do not count.
    value, weight : ndarray, float64, shape (n_frames, n_stars)
        Deviations from the star's mean, and inverse variances; zero weight leaves one out.

    Returns
    -------
    chi2_per_dof, stetson_j, von_neumann : ndarray, float64, shape (n_stars,)
        NaN with fewer than three measurements.
    """
    n_frames, n_stars = value.shape
    chi2, stetson, eta = np.full(n_stars, np.nan), np.full(n_stars, np.nan), np.full(n_stars, np.nan)
    longest = 5.0 * np.median(np.diff(time)) if n_frames > 1 else 0.0
    for s in range(n_stars):
        count, total, squares, steps, pairs, signed = 0, 0.0, 0.0, 0.0, 0, 0.0
        last = -1
        for f in range(n_frames):
            if not weight[f, s] > 0.0:
                continue
            count += 1
            total += weight[f, s] * value[f, s] ** 2
            squares += value[f, s] ** 2
            if last >= 0 and time[f] - time[last] <= longest:
                pairs += 1
                steps += (value[f, s] - value[last, s]) ** 2
                product = value[f, s] * value[last, s] * np.sqrt(weight[f, s] * weight[last, s])
                signed += np.sign(product) * np.sqrt(abs(product))
            last = f
        if count >= 3 and pairs > 0 and squares > 0.0:
            bias = count / (count - 1.0)
            chi2[s] = total / (count - 1.0)
            stetson[s] = signed * bias / pairs
            eta[s] = steps / pairs / (squares / count)
    return chi2, stetson, eta


@njit([types.Tuple((_TABLE, types.float64))(F64_2D, F64_1D, F64_1D, F64, F64)], cache=True, nogil=True)
def whiten_red(columns, time, variance, red_sigma, memory):
    """Turn columns with white and exponentially correlated noise into columns of white noise of unit variance.

    The covariance is ``variance_i delta_ij + red_sigma**2 exp(-|t_i - t_j| / memory)``. One pass of the Kalman filter
    of an Ornstein-Uhlenbeck process gives its Cholesky factor applied to every column (Jones 1981; Kelly et al. 2014,
    ApJ 788, 33, for order one).

    Parameters
    ----------
    columns : ndarray, float64, shape (n, m)
        Data and terms of models, one row per time.
    time : ndarray, float64, shape (n,)
        Rising times.
    variance : ndarray, float64, shape (n,)
        Variances of the white noise, positive.
    red_sigma : float
        Standard deviation of the correlated noise; 0 for none.
    memory : float
        Time after which its correlation has fallen to 1/e, positive.

    Returns
    -------
    whitened : ndarray, float64, shape (n, m)
        ``L^-1 columns`` with ``L L^T`` the covariance.
    log_determinant : float
        Of the covariance.
    """
    n, m = columns.shape
    whitened, state = np.empty((n, m)), np.zeros(m)
    prior, log_determinant = red_sigma * red_sigma, 0.0
    for i in range(n):
        if i > 0:
            kept = np.exp(-(time[i] - time[i - 1]) / memory)
            prior = kept * kept * prior + red_sigma * red_sigma * (1.0 - kept * kept)
            for k in range(m):
                state[k] *= kept
        total = prior + variance[i]
        gain, root = prior / total, 1.0 / np.sqrt(total)
        log_determinant += np.log(total)
        for k in range(m):
            excess = columns[i, k] - state[k]
            whitened[i, k] = excess * root
            state[k] += gain * excess
        prior *= 1.0 - gain
    return whitened, log_determinant


@njit([_REAL(F64_1D, F64_2D, F64_2D, I64_1D, I64_1D, I64)], cache=True, nogil=True, error_model="numpy")
def dip_significance(time, value, weight, first, last, min_count):
    """Compute how significant the best dip of every star is, on a straight line fitted together with it.

    Parameters
    ----------
    time : ndarray, float64, shape (n_frames,)
        Rising times.
    value, weight : ndarray, float64, shape (n_frames, n_stars)
        Magnitudes, finite, and inverse variances; zero weight leaves one out.
    first, last : ndarray, int64, shape (n_dips,)
        Frames of each dip that is tried, ``first <= frame < last``.
    min_count : int
        Fewest measurements inside and outside.

    Returns
    -------
    ndarray, float64, shape (n_stars,)
        Largest depth over its error, 0 where no dip can be fitted or all are brightenings.
    """
    n_frames, n_stars = value.shape
    found, sums = np.zeros(n_stars), np.zeros((n_frames + 1, 5))
    for s in range(n_stars):
        for f in range(n_frames):
            w, t = weight[f, s], time[f] - time[0]
            sums[f + 1, 0] = sums[f, 0] + w
            sums[f + 1, 1] = sums[f, 1] + w * t
            sums[f + 1, 2] = sums[f, 2] + w * t * t
            sums[f + 1, 3] = sums[f, 3] + w * value[f, s]
            sums[f + 1, 4] = sums[f, 4] + w * t * value[f, s]
        total, mean_t, mean_v = sums[n_frames, 0], 0.0, 0.0
        count = 0
        for f in range(n_frames):
            count += weight[f, s] > 0.0
        if count < 2 * min_count:
            continue
        mean_t, mean_v = sums[n_frames, 1] / total, sums[n_frames, 3] / total
        spread = sums[n_frames, 2] - mean_t * mean_t * total
        slope = (sums[n_frames, 4] - mean_t * mean_v * total) / spread if spread > 0.0 else 0.0
        for k in range(first.size):
            inside = 0
            for f in range(first[k], last[k]):
                inside += weight[f, s] > 0.0
            if inside < min_count or count - inside < min_count:
                continue
            w = sums[last[k], 0] - sums[first[k], 0]
            wt = sums[last[k], 1] - sums[first[k], 1] - mean_t * w
            v = sums[last[k], 3] - sums[first[k], 3] - mean_v * w - slope * wt
            curvature = w - w * w / total - (wt * wt / spread if spread > 0.0 else 0.0)
            if curvature > 1e-9 * w and v > 0.0:
                found[s] = max(found[s], v / np.sqrt(curvature))
    return found
