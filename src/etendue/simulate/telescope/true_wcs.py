"""The map of the sky onto a detector that nature uses, and that no header tells."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.geom.sphere import tangent_plane, tangent_plane_inverse
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.random_streams import stream
from etendue.simulate.telescope.field_angle import DetectorPlace
from etendue.simulate.telescope.spec import DistortionSpec

Vector = NDArray[np.float64]

_ROUNDS = 12  # of the fixed point: each gains the size of the distortion, a percent


@dataclass(frozen=True, slots=True)
class TrueWcs:
    """Sky to pixels, one detector of one exposure, without turbulence and refraction.

    Parameters
    ----------
    ra_deg, dec_deg : float
        True boresight [deg].
    rotation_deg : float
        True position angle of the focal plane's y axis [deg].
    mirrored : bool
        Whether east is towards smaller x when north is up.
    scale : float
        True over nominal plate scale.
    radial : (float, float)
        Radial distortion, see `DistortionSpec`.
    decentring : (float, float)
        Tangential distortion.
    place : DetectorPlace
        Where the detector really is.
    """

    ra_deg: float
    dec_deg: float
    rotation_deg: float
    mirrored: bool
    scale: float
    radial: tuple[float, float]
    decentring: tuple[float, float]
    place: DetectorPlace

    def sky_to_field(self, *, ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Vector, Vector]:
        """Return nominal field angles on the focal plane, distortion included.

        Parameters
        ----------
        ra_deg, dec_deg : array_like
            Directions [deg].

        Returns
        -------
        field_x, field_y : ndarray, float64
            Field angles [deg]; NaN on the far side of the sky.
        """
        xi, eta = tangent_plane(ra_deg=ra_deg, dec_deg=dec_deg, ra0_deg=self.ra_deg, dec0_deg=self.dec_deg)
        cosine, sine = np.cos(np.radians(self.rotation_deg)), np.sin(np.radians(self.rotation_deg))
        across, along = cosine * xi - sine * eta, sine * xi + cosine * eta  # right of, and along, the y axis
        return self._distorted(-across if self.mirrored else across, along)

    def sky_to_pixel(self, *, ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Vector, Vector]:
        """Return trimmed pixels.

        Parameters
        ----------
        ra_deg, dec_deg : array_like
            Directions [deg].

        Returns
        -------
        x, y : ndarray, float64
            Pixels; NaN on the far side of the sky.
        """
        fx, fy = self.sky_to_field(ra_deg=ra_deg, dec_deg=dec_deg)
        return self.place.to_pixel(field_x=fx, field_y=fy)

    def pixel_to_sky(self, *, x: ArrayLike, y: ArrayLike) -> tuple[Vector, Vector]:
        """Return directions of trimmed pixels.

        Parameters
        ----------
        x, y : array_like
            Pixels.

        Returns
        -------
        ra_deg, dec_deg : ndarray, float64
            Directions [deg].
        """
        fx, fy = self.place.to_field(x=x, y=y)
        across, along = fx / self.scale, fy / self.scale
        for _ in range(_ROUNDS):
            gx, gy = self._distorted(across, along)
            across, along = across + (fx - gx), along + (fy - gy)
        across = -across if self.mirrored else across
        cosine, sine = np.cos(np.radians(self.rotation_deg)), np.sin(np.radians(self.rotation_deg))
        ra, dec = tangent_plane_inverse(
            cosine * across + sine * along, cosine * along - sine * across, self.ra_deg, self.dec_deg
        )
        return np.asarray(ra), np.asarray(dec)

    def pixels_per_arcsec(self, *, x: ArrayLike, y: ArrayLike) -> Vector:
        """Return the local affine map from the sky to pixels.

        Parameters
        ----------
        x, y : array_like, shape (n,)
            Pixels.

        Returns
        -------
        ndarray, float64, shape (n, 2, 2)
            ``[[dx/d_east, dx/d_north], [dy/d_east, dy/d_north]]`` [px/arcsec].
        """
        ra, dec = self.pixel_to_sky(x=x, y=y)
        step = 1.0 / 3600.0
        east = self.sky_to_pixel(ra_deg=ra + step / np.cos(np.radians(dec)), dec_deg=dec)
        west = self.sky_to_pixel(ra_deg=ra - step / np.cos(np.radians(dec)), dec_deg=dec)
        north = self.sky_to_pixel(ra_deg=ra, dec_deg=dec + step)
        south = self.sky_to_pixel(ra_deg=ra, dec_deg=dec - step)
        columns = [
            [0.5 * (a - b) for a, b in zip(high, low, strict=True)] for high, low in ((east, west), (north, south))
        ]
        return np.moveaxis(np.array(columns), (0, 1), (-1, -2))

    def _distorted(self, across: Vector, along: Vector) -> tuple[Vector, Vector]:
        square = across**2 + along**2
        factor = self.scale * (1.0 + self.radial[0] * square + self.radial[1] * square**2)
        p, q = self.decentring
        x = across * factor + p * (square + 2.0 * across**2) + 2.0 * q * across * along
        y = along * factor + q * (square + 2.0 * along**2) + 2.0 * p * across * along
        return x, y


def true_wcs(
    camera: Camera, detector: Detector, exposure: PlannedExposure, spec: DistortionSpec | None, seed: int
) -> TrueWcs:
    """Draw the true map of an exposure.

    Parameters
    ----------
    camera : Camera
        The camera.
    detector : Detector
        One of its detectors.
    exposure : PlannedExposure
        The exposure.
    spec : DistortionSpec or None
        Distortion and errors; None for what the headers say.
    seed : int
        Seed of the survey.

    Returns
    -------
    TrueWcs
    """
    place = DetectorPlace.nominal(camera, detector)
    wcs = TrueWcs(exposure.ra_deg, exposure.dec_deg, exposure.rotation_deg, camera.parity_flipped, 1.0, (0.0, 0.0),
                  (0.0, 0.0), place)  # fmt: skip
    if spec is None:
        return wcs
    rng = stream(seed, "pointing", exposure.exposure)
    xi, eta = rng.normal(0.0, spec.pointing_arcsec / 3600.0, 2)
    ra, dec = tangent_plane_inverse(xi, eta, exposure.ra_deg, exposure.dec_deg)
    turn, breath = rng.normal(0.0, spec.rotation_deg), rng.normal(0.0, spec.breathing)
    return replace(
        wcs,
        ra_deg=float(ra),
        dec_deg=float(dec),
        rotation_deg=exposure.rotation_deg + float(turn),
        scale=1.0 / (1.0 + spec.scale_error + float(breath)),
        radial=_camera_radial(camera) if spec.radial is None else spec.radial,
        decentring=spec.decentring,
        place=_misplaced(place, spec, stream(seed, "detector place", detector.id)),
    )


def _camera_radial(camera: Camera) -> tuple[float, float]:
    """Return the distortion of a camera from sky to focal plane: its description's is the other way round."""
    a, b = camera.distortion
    return -a, 3.0 * a**2 - b


def _misplaced(place: DetectorPlace, spec: DistortionSpec, rng: np.random.Generator) -> DetectorPlace:
    dx, dy = rng.normal(0.0, spec.detector_shift_px * place.deg_per_px, 2)
    turn = rng.normal(0.0, spec.detector_turn_deg)
    return replace(
        place,
        field_x=place.field_x + float(dx),
        field_y=place.field_y + float(dy),
        turn_deg=place.turn_deg + float(turn),
    )
