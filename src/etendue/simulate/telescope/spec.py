"""What the telescope and the air above it are like."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from etendue.simulate.beside import BesidePath


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class AirSpec(_Part):
    """The blur of the atmosphere."""

    profile: Literal["kolmogorov", "von_karman", "moffat"] = "von_karman"
    """Shape of the long-exposure PSF; its width is the seeing of the exposure."""

    outer_scale_m: float = Field(25.0, gt=0.0)
    """Outer scale of the turbulence, for ``von_karman`` [m]."""

    moffat_beta: float = Field(3.5, gt=1.1)
    """Exponent, for ``moffat``."""

    ellipticity: float = Field(0.015, ge=0.0, lt=0.3)
    """Scatter of each component of the ellipticity that the air leaves in 30 s; goes down with the square root of the
    exposure time."""

    ellipticity_scale_deg: float = Field(0.5, gt=0.0)
    """Correlation length of that ellipticity [deg]."""

    chromatic_index: float = -0.2
    """The width goes with this power of the wavelength."""


class ZernikeSpec(_Part):
    """One aberration over the field, in Noll's (1976) order; all amplitudes are rms of the wavefront [nm]."""

    noll: int = Field(ge=4, le=15)
    """4 defocus, 5 and 6 astigmatism, 7 and 8 coma, 9 and 10 trefoil, 11 spherical."""

    constant: float = 0.0
    """On the axis [nm]."""

    tilt: tuple[float, float] = (0.0, 0.0)
    """Change per degree of field along x and y of the focal plane [nm/deg]."""

    bowl: float = 0.0
    """Change with the square of the field angle [nm/deg**2]."""

    scatter: float = Field(0.0, ge=0.0)
    """Scatter of ``constant`` from exposure to exposure [nm]."""

    tilt_scatter: float = Field(0.0, ge=0.0)
    """Scatter of each component of ``tilt`` from exposure to exposure [nm/deg]."""


class OpticsSpec(_Part):
    """The blur of the telescope."""

    diameter_m: float = Field(8.4, gt=0.0)
    """Diameter of the pupil [m]."""

    obscuration: float = Field(0.61, ge=0.0, lt=0.95)
    """Linear central obscuration."""

    f_ratio: float = Field(1.234, gt=0.0)
    """Focal length over diameter: turns heights of detectors into defocus."""

    vanes: int = Field(4, ge=0, le=8)
    """Spider vanes."""

    vane_width_m: float = Field(0.05, ge=0.0)
    """Their width [m]."""

    zernikes: tuple[ZernikeSpec, ...] = ()
    """Aberrations."""

    heights_mm: dict[str, float] = {}
    """Height of detectors above the focal surface, by name [mm]; 1.5 mm at f/1.2 makes donuts."""

    jitter_arcsec: float = Field(0.05, ge=0.0)
    """Standard deviation per axis of tracking and vibration [arcsec]."""


class DistortionSpec(_Part):
    """How the sky maps onto the focal plane; none of it stands in headers."""

    scale_error: float = 0.0
    """True over nominal plate scale, minus 1."""

    radial: tuple[float, float] | None = None
    """Relative change of the radius with the second and fourth power of the field angle [1/deg**2, 1/deg**4]; None
    takes what the camera's description says."""

    decentring: tuple[float, float] = (0.0, 0.0)
    """Tangential distortion (Brown 1966) [1/deg]."""

    detector_shift_px: float = Field(0.0, ge=0.0)
    """Scatter of the places of detectors about the nominal ones, per axis [px]."""

    detector_turn_deg: float = Field(0.0, ge=0.0)
    """Scatter of their angles [deg]."""

    pointing_arcsec: float = Field(0.0, ge=0.0)
    """Scatter of the true pointing about the header's, per axis [arcsec]."""

    rotation_deg: float = Field(0.0, ge=0.0)
    """Scatter of the true rotation about the header's [deg]."""

    breathing: float = Field(0.0, ge=0.0)
    """Scatter of the scale from exposure to exposure, relative."""


class TurbulenceSpec(_Part):
    """Displacements of stars by the air, correlated over the field."""

    rms_mas: float = Field(15.0, ge=0.0)
    """Standard deviation per axis in 30 s; goes down with the square root of the exposure time [mas]."""

    scale_deg: float = Field(0.6, gt=0.0)
    """Outer scale of the correlation on the sky [deg]."""

    anisotropy: float = Field(0.4, ge=0.0, lt=0.95)
    """How much shorter the correlation is across the wind than along it: 1 - ratio."""

    two_point: BesidePath | None = None
    """A measured two-point function in place of the von Karman one: a table of ``separation_deg``, from 0, and
    ``correlation_mas2``, the correlation of displacements in 30 s summed over both axes, 0 beyond its end. It replaces
    ``rms_mas`` and ``scale_deg``; with an anisotropy it is the mean over directions, nearly."""


class VignettingSpec(_Part):
    """Loss of light towards the edge of the field."""

    clear_deg: float = Field(1.2, ge=0.0)
    """Radius up to which no light is lost [deg]."""

    edge_deg: float = Field(1.9, gt=0.0)
    """Radius at which half of the light is lost [deg]."""


class DustSpec(_Part):
    """Dust that throws shadows onto the detectors."""

    filter_per_deg2: float = Field(150.0, ge=0.0)
    """Specks on every filter, seen from the detectors [1/deg**2]."""

    filter_mm: float = Field(8.0, gt=0.0)
    """Height of the filter above the detectors: over the focal ratio, the diameter of the rings [mm]."""

    window_per_deg2: float = Field(150.0, ge=0.0)
    """Specks on the window, the same for all bands [1/deg**2]."""

    window_mm: float = Field(2.0, gt=0.0)
    """Its height [mm]."""

    loss: float = Field(0.01, gt=0.0, le=0.5)
    """Typical loss of light inside a ring."""


class GhostSpec(_Part):
    """A doubly reflected, defocused image of the pupil."""

    fraction: float = Field(gt=0.0, lt=0.1)
    """Share of a star's light."""

    radius_mm: float = Field(gt=0.0)
    """Outer radius on the focal plane [mm]."""

    magnification: float = -1.0
    """Place of its centre, in units of the star's place on the focal plane."""


class StraySpec(_Part):
    """What bright stars do beyond the PSF."""

    halo_fraction: float = Field(0.01, ge=0.0, lt=0.5)
    """Share of the light in the aureole, ``(1 + (r / core)**2)**-1.5``."""

    halo_core_arcsec: float = Field(8.0, gt=0.0)
    """Core radius of the aureole [arcsec]."""

    spike_fraction: float = Field(0.002, ge=0.0, lt=0.1)
    """Share of the light in the diffraction spikes of all vanes."""

    spike_width_arcsec: float = Field(0.6, gt=0.0)
    """Standard deviation across a spike [arcsec]."""

    spike_core_arcsec: float = Field(4.0, gt=0.0)
    """A spike falls as ``1 / (1 + (r / core)**2)`` along it [arcsec]."""

    ghosts: tuple[GhostSpec, ...] = ()
    """Ghosts."""

    faintest_electrons: float = Field(0.05, gt=0.0)
    """Surface brightness at which these features are cut off [e/px]."""


class TelescopeSpec(_Part):
    """Air and telescope; a part that is None does nothing."""

    air: AirSpec = AirSpec()
    """Blur of the air."""

    optics: OpticsSpec | None = OpticsSpec()
    """Blur of the telescope."""

    distortion: DistortionSpec | None = DistortionSpec()
    """Mapping of the sky."""

    turbulence: TurbulenceSpec | None = TurbulenceSpec()
    """Displacements."""

    refraction: bool = True
    """Differential chromatic refraction: displacement by colour, and elongation of the PSF."""

    vignetting: VignettingSpec | None = VignettingSpec()
    """Loss of light."""

    dust: DustSpec | None = None
    """Shadows of dust."""

    stray: StraySpec | None = StraySpec()
    """Haloes, spikes and ghosts."""

    nodes: int = Field(5, ge=1, le=32)
    """Nodes of the PSF along each side of a detector."""

    oversampling: int = Field(4, ge=1, le=16)
    """Samples of the PSF per pixel."""

    psf_half_width_px: int = Field(32, ge=8, le=256)
    """Half the width of the PSF images [px]."""
