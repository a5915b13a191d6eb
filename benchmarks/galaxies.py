"""Score shapes and fluxes of single galaxies against truth drawn by galsim, with galsim.hsm and ngmix as peers.

Sources stand alone; noise is Gaussian, white or correlated; the PSF is on a pixel basis, as pipelines have it. ngmix is
used where it can be imported. Run: ``python benchmarks/galaxies.py [--quick]``; writes results/galaxies-DATE.json.
"""

import argparse
import json
import time
from datetime import date
from itertools import product

import galsim
import numpy as np
from machine import HERE, machine_facts, rounded

from etendue.image.noise import NoiseAutocorrelation
from etendue.image.psf import PixelBasisPsf
from etendue.tasks.measure.adaptive_shape import AdaptiveShapes
from etendue.tasks.measure.gaap import Gaap
from etendue.tasks.measure.galaxies import Galaxies
from etendue.tasks.measure.kron import Kron
from etendue.tasks.measure.light import SourceLight
from etendue.tasks.measure.scene import Scene
from etendue.tasks.measure.sersic import Sersic

try:
    import ngmix
except ImportError:
    ngmix = None

SIDE, STAMP, OVERSAMPLING, FLUX = 71, 63, 5, 1e3
BINS = ((5, 10), (10, 30), (30, 100), (300, 3000))
KERNEL = np.array([[0.1, 0.3, 0.1], [0.3, 1.0, 0.3], [0.1, 0.3, 0.1]])
SEEINGS = {
    "kolmogorov": galsim.Kolmogorov(fwhm=3.5).shear(g1=0.03, g2=-0.02),
    "moffat": galsim.Moffat(beta=3.0, fwhm=3.0).shear(g1=-0.02, g2=0.03),
    "aberrated": galsim.Convolve(
        galsim.OpticalPSF(lam_over_diam=0.9, obscuration=0.6, defocus=0.1, coma1=0.1, astig1=0.1, trefoil1=0.06),
        galsim.Kolmogorov(fwhm=3.0),
    ),
}


def profile(kind, rng):
    """Return a profile of unit flux and its half-light ellipse xx, yy, xy [px^2]; NaN where it has none."""
    radius = rng.uniform(1.5, 4.0)
    shear = galsim.Shear(g1=np.clip(rng.normal(0, 0.2), -0.5, 0.5), g2=np.clip(rng.normal(0, 0.2), -0.5, 0.5))
    scale = radius**2 / np.sqrt(1.0 - shear.e1**2 - shear.e2**2)
    ellipse = scale * np.array([1.0 + shear.e1, 1.0 - shear.e1, shear.e2])
    if kind == "star":
        return galsim.DeltaFunction(), np.zeros(3)
    if kind == "bulge+disc":
        both = 0.4 * galsim.DeVaucouleurs(half_light_radius=0.6 * radius)
        return (both + 0.6 * galsim.Exponential(half_light_radius=radius)).shear(shear), np.full(3, np.nan)
    if kind == "sersic 2":
        return galsim.Sersic(n=2.0, half_light_radius=radius).shear(shear), ellipse
    make = galsim.Exponential if kind == "exponential" else galsim.DeVaucouleurs
    return make(half_light_radius=radius).shear(shear), ellipse


def pixel_basis(seeing):
    side = STAMP * OVERSAMPLING
    fine = galsim.Convolve(seeing, galsim.Pixel(1.0)).drawImage(
        nx=side, ny=side, scale=1.0 / OVERSAMPLING, method="no_pixel"
    )
    samples = OVERSAMPLING**2 * fine.array[np.newaxis].astype(np.float64)
    return PixelBasisPsf.from_samples(samples, step=1.0 / OVERSAMPLING, x=[0.0], y=[0.0], order=0, size=STAMP)


def draw_sources(kind, seeing, count, rng):
    """Return noise-free stamps (count, SIDE, SIDE), offsets from their middles, and ellipses."""
    stamps, offsets, ellipses = [], rng.uniform(-0.5, 0.5, (count, 2)), []
    for dx, dy in offsets:
        shape, ellipse = profile(kind, rng)
        drawn = galsim.Convolve(shape, seeing).shift(dx, dy).withFlux(FLUX).drawImage(nx=SIDE, ny=SIDE, scale=1.0)
        stamps.append(drawn.array.astype(np.float64))
        ellipses.append(ellipse)
    return np.stack(stamps), offsets, np.stack(ellipses)


def build_scene(stamps, offsets, sigma, psf, noise):
    """Return sources side by side in rows of 40; ``sigma`` is the noise of each."""
    n, across = len(stamps), 40
    rows = -(-n // across)
    padded = np.zeros((rows * across, SIDE, SIDE))
    padded[:n] = stamps
    image = padded.reshape(rows, across, SIDE, SIDE).swapaxes(1, 2).reshape(rows * SIDE, across * SIDE)
    spread = np.ones(rows * across)
    spread[:n] = sigma**2
    variance = np.kron(spread.reshape(rows, across), np.ones((SIDE, SIDE)))
    none, middle = np.zeros(n, np.int64), SIDE // 2
    return Scene(
        residual=np.ascontiguousarray(image), variance=variance, weight_variance=variance, slope=0.0,
        bad=np.zeros(image.shape, bool), x0=0, y0=0,
        light=SourceLight(np.zeros(0, np.float32), np.zeros(n + 1, np.int64), none, none, none, none),
        x=np.arange(n) % across * SIDE + middle + offsets[:, 0],
        y=np.arange(n) // across * SIDE + middle + offsets[:, 1],
        psf_flux=np.full(n, FLUX), psf_flux_err=np.ones(n), psf_chi2=np.ones(n), psf=psf,
        fwhm=float(psf.fwhm(x=0.0, y=0.0)[0]), noise=noise, forced=False, pixel_scale=float("nan"),
    )  # fmt: skip


def measure(scene):
    """Run all measurements; return columns and CPU microseconds per source of each."""
    known, cost = {}, {}
    all_of_them = {"hsm": AdaptiveShapes(), "galaxies": Galaxies(), "sersic": Sersic(), "kron": Kron(), "gaap": Gaap()}
    for name, one in all_of_them.items():
        start = time.process_time()
        known |= one.run(scene, known)
        cost[name] = (time.process_time() - start) / len(scene) * 1e6
    return known, cost


def pulls(found, truth, error):
    """Return mean, robust width and tails of (found - truth) / error, and how many were measured."""
    with np.errstate(invalid="ignore", divide="ignore"):
        pull = (found - truth) / error
    good = pull[np.isfinite(pull)]
    if good.size < 20:
        return None
    low, middle, high = np.percentile(good, [25, 50, 75])
    inner = good[np.abs(good - middle) < 5.0]
    return {
        "mean": float(inner.mean()), "mean_err": float(inner.std() / np.sqrt(inner.size)), "median": float(middle),
        "width": float(0.7413 * (high - low)), "beyond_3": float(np.mean(np.abs(good) > 3)),
        "beyond_4": float(np.mean(np.abs(good) > 4)), "measured": good.size / pull.size, "n": int(good.size),
    }  # fmt: skip


def own_names(kind):
    """Return which columns have a truth of their own: fluxes and ellipses of the model of that kind."""
    prefix = {"exponential": "exp", "de vaucouleurs": "dev"}.get(kind)
    fluxes = [
        "cModelFlux",
        *([] if kind == "star" else ["sersicFlux"]),
        *([f"{prefix}Flux"] if prefix else []),
        *(["pointFlux"] if kind == "star" else []),
    ]
    return fluxes, [f"{prefix}_{axis}" for axis in ("xx", "yy", "xy")] if prefix else []


def score_bin(kind, bases, psf, limits, count, correlated, rng):
    """Score one kind of source in one bin of signal-to-noise (that of the best matched filter)."""
    stamps, offsets, ellipses, quiet = bases
    which = rng.integers(0, len(stamps), count)
    snr = np.exp(rng.uniform(*np.log(limits), count))
    kernel = KERNEL if correlated else np.ones((1, 1))
    sigma = np.sqrt((stamps**2).sum(axis=(1, 2)))[which] / snr
    spectrum = np.fft.rfft2(kernel / np.sqrt((kernel**2).sum()), (SIDE, SIDE))
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(0.0, 1.0, (count, SIDE, SIDE))) * spectrum, (SIDE, SIDE))
    law = NoiseAutocorrelation.from_filter(kernel) if correlated else None
    scene = build_scene(stamps[which] + noise * sigma[:, None, None], offsets[which], sigma, psf, law)
    found, cost = measure(scene)
    fluxes, shapes = own_names(kind)
    result = {"cpu_us": cost, "bias_mmag": {}, "pulls": {}}
    for name in fluxes:
        result["pulls"][name] = pulls(found[name], FLUX, found[f"{name}Err"])
        result["bias_mmag"][name] = bias(found[name] / FLUX)
    for name, truth in zip(shapes, ellipses[which].T, strict=False):
        result["pulls"][name] = pulls(found[name], truth, found[f"{name}Err"])
    for name in ("kronFlux", "gaap0p7Flux", "gaap1p0Flux", "ixx", "ixy"):
        result["pulls"][name] = pulls(found[name], quiet[name][which], found[f"{name}Err"])
    for name in ("hsmShapeRegauss_e1", "hsmShapeRegauss_e2"):
        result["pulls"][name] = pulls(found[name], quiet[name][which], found["hsmShapeRegauss_sigma"])
    result["extended_logRatio"] = [float(v) for v in np.nanpercentile(found["extended_logRatio"], [16, 50, 84])]
    index = {"exponential": 1.0, "de vaucouleurs": 4.0, "sersic 2": 2.0}.get(kind)
    if index:
        result["pulls"]["sersic_index"] = pulls(found["sersic_index"], index, found["sersic_indexErr"])
    if kind == "star":
        result["bias_mmag"]["cModel_minus_point"] = bias(found["cModelFlux"] / found["pointFlux"])
    return result


def bias(ratio):
    """Return the median ratio, and the mean within 5 robust widths, in mmag brighter than truth, with errors."""
    good = ratio[np.isfinite(ratio)]
    middle = np.median(good)
    width = max(0.7413 * np.subtract(*np.percentile(good, [75, 25])), 0.2 * good.std())
    inner = good[np.abs(good - middle) < 5.0 * width]
    scale = 1085.736
    return {"median": scale * (middle - 1), "mean": scale * (inner.mean() - 1), "err": scale * width / good.size**0.5}


def against_hsm(stamps, offsets, sigma, psf, rng):
    """Compare moments with galsim.hsm source by source: differences, failures and time."""
    noisy = stamps + rng.normal(0.0, 1.0, stamps.shape) * sigma[:, None, None]
    scene = build_scene(noisy, offsets, sigma, psf, None)
    start = time.process_time()
    ours = AdaptiveShapes().run(scene, {})
    regauss = time.process_time() - start
    cost, moments = ours_moments_cost(scene)
    theirs, began = [], time.process_time()
    for stamp, (dx, dy) in zip(noisy, offsets, strict=True):
        image = galsim.ImageD(stamp, xmin=0, ymin=0)
        centre = galsim.PositionD(SIDE // 2 + dx, SIDE // 2 + dy)
        theirs.append(galsim.hsm.FindAdaptiveMom(image, guess_sig=1.5, guess_centroid=centre, strict=False))
    hsm = time.process_time() - began
    good = np.array([t.moments_status == 0 for t in theirs])
    size = (ours["ixx"] * ours["iyy"] - ours["ixy"] ** 2) ** 0.25
    trace = ours["ixx"] + ours["iyy"]
    mine = np.stack([size, (ours["ixx"] - ours["iyy"]) / trace, 2 * ours["ixy"] / trace], axis=1)
    both = good & np.isfinite(size)
    other = np.array([(t.moments_sigma, t.observed_e1, t.observed_e2) for t in theirs])
    difference = np.abs(mine - other)[both] / np.stack([size, size**0, size**0], axis=1)[both]
    return {
        "largest_difference": [float(v) for v in difference.max(axis=0)], "n": len(good),
        "converged_ours": float(np.isfinite(size).mean()), "converged_hsm": float(good.mean()),
        "us_ours_moments_and_errors": cost, "us_ours_with_regauss": regauss / len(good) * 1e6,
        "us_hsm_moments": hsm / len(good) * 1e6, "moments_measured": int(np.isfinite(moments[:, 2]).sum()),
    }  # fmt: skip


def ours_moments_cost(scene):
    """Return microseconds per source of the moments alone, with errors, and the moments."""
    from etendue.kernels.adaptive_shape import adaptive_shapes

    light, n = scene.light, len(scene)
    columns = (light.value, light.offset, light.x0, light.y0, light.width, light.height)
    start = time.process_time()
    shape, _ = adaptive_shapes(
        scene.residual, scene.weight_variance, scene.bad, *columns, scene.x, scene.y,
        np.full(n, scene.fwhm / 2.3548), np.ones((1, 1)), 0,
    )  # fmt: skip
    return (time.process_time() - start) / n * 1e6, shape


def against_ngmix(stamps, offsets, sigma, psf, rng):
    """Fit exponentials with ngmix on the same pixels; its PSF is its own sum of Gaussians fitted to the same stamp."""
    if ngmix is None:
        return None
    noisy = stamps + rng.normal(0.0, 1.0, stamps.shape) * sigma[:, None, None]
    scene = build_scene(noisy, offsets, sigma, psf, None)
    known = AdaptiveShapes().run(scene, {})
    start = time.process_time()
    found = Galaxies().run(scene, known)
    ours = time.process_time() - start
    half = np.rint((np.sqrt(found["galaxy_nPixels"]) - 1) / 2).astype(int)
    image = psf.stamp(x=0.0, y=0.0)
    middle = ngmix.DiagonalJacobian(row=STAMP // 2, col=STAMP // 2, scale=1.0)
    point = ngmix.Observation(image, weight=np.full(image.shape, 1e10), jacobian=middle)
    wide = [0.0, 0.0, 0.0, 0.0, *(np.array([2.0, 4.0, 8.0, 16.0, 40.0]) * 1.0), *([0.2] * 5)]
    point.set_gmix(ngmix.fitting.CoellipFitter(ngauss=5).go(point, np.array(wide)).get_gmix())
    difference, began = [], time.process_time()
    for k, (dx, dy) in enumerate(offsets):
        low = SIDE // 2 - half[k]
        cut = np.ascontiguousarray(noisy[k, low : SIDE - low, low : SIDE - low])
        jacobian = ngmix.DiagonalJacobian(row=half[k] + dy, col=half[k] + dx, scale=1.0)
        seen = ngmix.Observation(cut, weight=np.full(cut.shape, sigma[k] ** -2), jacobian=jacobian, psf=point)
        guess = np.array([0.0, 0.0, 0.0, 0.0, 8.0, FLUX])
        try:
            fit = ngmix.fitting.Fitter(model="exp").go(seen, guess)
            chi2 = fit["chi2per"] * fit["dof"] if fit["flags"] == 0 else np.nan
        except (TypeError, ngmix.GMixRangeError):  # its walk left the range of its parameters
            chi2 = np.nan
        difference.append(found["exp_chi2"][k] - chi2)
    cost = time.process_time() - began
    low, middle, high = np.nanpercentile(difference, [5, 50, 95])
    return {
        "chi2_ours_minus_ngmix": {"5%": float(low), "median": float(middle), "95%": float(high)},
        "ngmix_failed": float(np.mean(~np.isfinite(difference))), "ngmix_exponential_us": cost / len(offsets) * 1e6,
        "ours_point_exponential_dev_composite_us": ours / len(offsets) * 1e6, "version": ngmix.__version__,
        "n": len(offsets),
    }  # fmt: skip


def main():
    """Score everything and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=7201)
    parser.add_argument("--seeings", nargs="*", default=list(SEEINGS))
    options = parser.parse_args()
    count, bases = (200, 20) if options.quick else (1000, 60)
    result = {"machine": machine_facts(), "seed": options.seed, "per_bin": count, "profiles": bases, "scores": {}}
    for number, seeing in enumerate(options.seeings):
        psf = pixel_basis(SEEINGS[seeing])
        for kind in ("star", "exponential", "de vaucouleurs", "bulge+disc", "sersic 2"):
            rng = np.random.default_rng([options.seed, number, len(kind)])
            drawn = draw_sources(kind, SEEINGS[seeing], bases, rng)
            quiet, _ = measure(build_scene(*drawn[:2], np.full(bases, 1e-3), psf, None))
            for limits, correlated in product(BINS, (False, True)):
                if (correlated or limits[1] < 100) and (number or kind in ("bulge+disc", "sersic 2")):
                    continue
                key = f"{seeing}/{kind}/{limits[0]}-{limits[1]}/{'correlated' if correlated else 'white'}"
                n = count if not correlated else count // 2
                result["scores"][key] = score_bin(kind, (*drawn, quiet), psf, limits, n, correlated, rng)
                print(key, json.dumps(rounded(result["scores"][key]["bias_mmag"], 3)), flush=True)
            if kind == "exponential":
                sigma = np.sqrt((drawn[0] ** 2).sum(axis=(1, 2))) / np.exp(rng.uniform(*np.log((20, 500)), bases))
                result[f"hsm/{seeing}"] = against_hsm(*drawn[:2], sigma, psf, rng)
                result[f"ngmix/{seeing}"] = against_ngmix(*drawn[:2], sigma, psf, rng)
        publish(result, options.quick)


def publish(result, quick):
    """Write what is scored so far, or print it."""
    if quick:
        print(json.dumps(rounded(result), indent=1))
        return
    target = HERE / "results" / f"galaxies-{date.today()}.json"
    target.write_text(json.dumps(rounded(result), indent=1) + "\n")


if __name__ == "__main__":
    main()
