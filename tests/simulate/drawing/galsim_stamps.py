"""Random stamps, drawn by GalSim from the same PSF image and by the renderer."""

from dataclasses import dataclass

import galsim
import numpy as np

from etendue.simulate.drawing.draw import draw_stamp
from etendue.simulate.population.shapes import Shapes
from etendue.simulate.telescope.chip_psf import ChipPsf

PSFS = ("gaussian", "moffat", "kolmogorov", "aberrated", "donut")
SHAPES = ("point", "sersic 0.5", "sersic 1", "sersic 2.5", "sersic 4", "bulge and disk", "knots", "dust")
_EXACT = galsim.GSParams(
    folding_threshold=1e-3, maxk_threshold=1e-4, kvalue_accuracy=1e-6, maximum_fft_size=12288, stepk_minimum_hlr=8
)


@dataclass(frozen=True)
class Agreement:
    """Differences of ours from GalSim's."""

    psf: str
    shape: str
    peak: float  # largest pixel difference over the peak
    flux: float  # over the electrons
    moments: float  # largest of xx, yy, xy over half of the trace; NaN where hsm fails


def chip_psf(profile: galsim.GSObject, half_px: int, oversampling: int, **keywords: float) -> ChipPsf:
    """Return a PSF that is the same everywhere."""
    size = 2 * half_px * oversampling + 1
    image = profile.drawImage(nx=size, ny=size, scale=1 / oversampling, method="no_pixel", dtype=float).array
    image = (image / image.sum()).astype(np.float32)
    return ChipPsf(np.zeros(1), np.zeros(1), image[None, None], oversampling, 600.0, **keywords)


def image_profile(psf: ChipPsf) -> galsim.GSObject:
    """Return the image of a PSF as GalSim's object."""
    image = galsim.Image(psf.images[0, 0].astype(float), scale=1 / psf.oversampling)
    return galsim.InterpolatedImage(image, x_interpolant="lanczos15", flux=1.0, gsparams=_EXACT)


def random_psf(kind: str, rng: np.random.Generator) -> ChipPsf:
    """Return a PSF of a kind with a width of 1.5 to 8 px."""
    fwhm = rng.uniform(1.5, 8.0)
    if kind in ("aberrated", "donut"):
        profile = _optical(kind, fwhm, rng)
    else:
        classes = {"gaussian": galsim.Gaussian, "kolmogorov": galsim.Kolmogorov}
        profile = galsim.Moffat(beta=rng.uniform(2.5, 5.0), fwhm=fwhm) if kind == "moffat" else classes[kind](fwhm=fwhm)
        profile = profile.shear(g1=rng.uniform(-0.1, 0.1), g2=rng.uniform(-0.1, 0.1))
    return chip_psf(profile, int(np.clip(12.0 * fwhm, 24, 64)), 4 if fwhm > 2.5 else 6)


def _optical(kind: str, fwhm: float, rng: np.random.Generator) -> galsim.GSObject:
    """Return an obscured aperture's PSF, blurred a little by air so that it ends."""
    donut = kind == "donut"
    optics = galsim.OpticalPSF(
        lam_over_diam=0.35 * fwhm if donut else 0.8 * fwhm,
        obscuration=rng.uniform(0.2, 0.5),
        defocus=rng.uniform(0.6, 1.0) * rng.choice([-1, 1]) if donut else rng.uniform(-0.1, 0.1),
        coma1=rng.uniform(-0.08, 0.08),
        coma2=rng.uniform(-0.08, 0.08),
        astig1=rng.uniform(-0.08, 0.08),
        astig2=rng.uniform(-0.08, 0.08),
        trefoil1=rng.uniform(-0.05, 0.05),
        spher=rng.uniform(-0.05, 0.05),
        oversampling=2.0,
        pad_factor=3.0,
    )
    return galsim.Convolve(optics, galsim.Gaussian(fwhm=0.4 * fwhm))


def random_parts(kind: str, rng: np.random.Generator) -> list[tuple[float, ...]]:
    """Return (flux, east, north, half-light radius, index, e1, e2) of the parts [px]."""

    def ellipse() -> tuple[float, float]:
        e, angle = 0.8 * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
        return e * np.cos(angle), e * np.sin(angle)

    radius = float(np.exp(rng.uniform(np.log(0.3), np.log(15.0))))
    if kind == "point":
        return []
    if kind.startswith("sersic"):
        return [(1.0, 0.0, 0.0, radius, float(kind.split()[1]), *ellipse())]
    disk = ellipse()
    bulge = rng.uniform(0.1, 0.6)
    parts = [(1.0 - bulge, 0.0, 0.0, radius, 1.0, *disk), (bulge, 0.0, 0.0, 0.4 * radius, 4.0, *ellipse())]
    if kind == "knots":
        places = rng.normal(0.0, 0.7 * radius, (8, 2))
        parts[0] = (parts[0][0] - 0.2, *parts[0][1:])
        parts += [(0.025, *map(float, place), 0.05 * radius, 0.5, 0.0, 0.0) for place in places]
    if kind == "dust":
        parts[0] = (parts[0][0] + 0.2, *parts[0][1:])
        parts.append((-0.2, 0.2 * radius, 0.1 * radius, 0.6 * radius, 0.5, *disk))
    return parts


def _reference(psf: ChipPsf, parts: list[tuple[float, ...]]) -> galsim.GSObject:
    if not parts:
        return image_profile(psf)
    profiles = [
        galsim.Sersic(n, half_light_radius=radius, flux=flux, gsparams=_EXACT).shear(e1=-e1, e2=e2).shift(east, north)
        for flux, east, north, radius, n, e1, e2 in parts
    ]
    return galsim.Convolve(galsim.Add(profiles), image_profile(psf), gsparams=_EXACT)


def _shapes(parts: list[tuple[float, ...]]) -> Shapes | None:
    if not parts:
        return None
    flux, east, north, radius, index, e1, e2 = np.array(parts).T
    return Shapes(np.array([0, len(parts)]), flux, east, north, radius, index, e1, e2)


def _moment_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    found = [galsim.hsm.FindAdaptiveMom(galsim.Image(np.array(a, float)), strict=False) for a in (ours, theirs)]
    if any(result.error_message for result in found):
        return float("nan")
    size = [np.array([1 + r.observed_e1, 1 - r.observed_e1, r.observed_e2]) for r in found]
    radius = [r.moments_sigma**2 / np.sqrt(1 - r.observed_e1**2 - r.observed_e2**2) for r in found]
    return float(np.abs(radius[0] * size[0] - radius[1] * size[1]).max() / radius[1])


def compare(seed: int, number: int) -> Agreement:
    """Draw one random stamp twice."""
    rng = np.random.default_rng([seed, number])
    kind, shape = PSFS[number % len(PSFS)], SHAPES[(number // len(PSFS)) % len(SHAPES)]
    psf, parts = random_psf(kind, rng), random_parts(shape, rng)
    x, y = rng.uniform(100.0, 200.0, 2)
    electrons = 1e5
    ours = draw_stamp(psf, size=129, x=x, y=y, electrons=electrons, shapes=_shapes(parts))
    moved = _reference(psf, parts).shift(x - np.rint(x), y - np.rint(y)) * electrons
    theirs = moved.drawImage(nx=129, ny=129, scale=1.0, dtype=float).array
    return Agreement(
        psf=kind,
        shape=shape,
        peak=float(np.abs(ours - theirs).max() / theirs.max()),
        flux=float(abs(ours.sum(dtype=float) - theirs.sum()) / electrons),
        moments=_moment_difference(ours, theirs),
    )
