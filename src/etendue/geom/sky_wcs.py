"""The mapping between pixels and the sky."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.geom.content import content_digest
from etendue.geom.polynomial import Polynomial2D
from etendue.geom.sphere import tangent_plane, tangent_plane_inverse, tangent_plane_inverse_jacobian
from etendue.geom.tpv import TpvPolynomial

Points = tuple[NDArray[np.float64], NDArray[np.float64]]

_MAX_ITERATIONS = 30
_TOLERANCE_PX = 1e-10


@dataclass(frozen=True, eq=False)
class SkyWcs:
    """Pixel -> SIP polynomial -> CD matrix -> TPV polynomial -> gnomonic -> ICRS.

    Parameters
    ----------
    crpix : (float, float)
        Reference pixel ``(x, y)``, zero-based parent coordinates [px].
    crval : (float, float)
        Sky position of the tangent point ``(ra_deg, dec_deg)`` [deg].
    cd : array_like, float64, shape (2, 2)
        Linear matrix [deg/px]; rows are ``xi, eta``, columns ``x, y``.
    sip : (Polynomial2D, Polynomial2D), optional
        Corrections added to the pixel offsets ``u, v`` before ``cd`` [px]; SIP's A and B.
    tpv : TpvPolynomial, optional
        Polynomials that replace the intermediate coordinates after ``cd`` [deg].

    Raises
    ------
    InputError
        If ``cd`` is singular or a number is not finite.

    Notes
    -----
    Calabretta & Greisen 2002 (A&A 395, 1077), Shupe et al. 2005 (SIP), the TPV registry document.
    """

    crpix: tuple[float, float]
    crval: tuple[float, float]
    cd: NDArray[np.float64]
    sip: tuple[Polynomial2D, Polynomial2D] | None = None
    tpv: TpvPolynomial | None = None

    def __post_init__(self) -> None:
        cd = np.array(self.cd, dtype=np.float64)
        numbers = np.concatenate([np.ravel(self.crpix), np.ravel(self.crval), cd.ravel()]).astype(float)
        if cd.shape != (2, 2) or numbers.size != 8 or not np.isfinite(numbers).all() or np.linalg.det(cd) == 0.0:
            raise InputError("WCS needs finite crpix, crval and an invertible 2x2 CD matrix", value=numbers.tolist())
        if abs(numbers[3]) > 90.0:
            raise InputError("WCS reference declination is outside [-90, 90] deg", value=float(numbers[3]))
        cd.flags.writeable = False
        object.__setattr__(self, "cd", cd)
        object.__setattr__(self, "crpix", (float(self.crpix[0]), float(self.crpix[1])))
        object.__setattr__(self, "crval", (float(self.crval[0]) % 360.0, float(self.crval[1])))

    @classmethod
    def tan(
        cls, *, crpix_x: float, crpix_y: float, crval_ra_deg: float, crval_dec_deg: float, cd: ArrayLike
    ) -> "SkyWcs":
        """Return a gnomonic WCS without distortion.

        Parameters
        ----------
        crpix_x, crpix_y : float
            Reference pixel, zero-based [px].
        crval_ra_deg, crval_dec_deg : float
            Its sky position [deg].
        cd : array_like, shape (2, 2)
            Linear matrix [deg/px].

        Returns
        -------
        SkyWcs
        """
        return cls((crpix_x, crpix_y), (crval_ra_deg, crval_dec_deg), np.asarray(cd, float))

    @classmethod
    def from_polynomial(
        cls,
        *,
        crpix: tuple[float, float],
        crval: tuple[float, float],
        cd: ArrayLike,
        sip_a: ArrayLike,
        sip_b: ArrayLike,
    ) -> "SkyWcs":
        """Return a TAN-SIP WCS.

        Parameters
        ----------
        crpix, crval : (float, float)
            Reference pixel ``(x, y)``, zero-based [px], and its ``(ra_deg, dec_deg)`` [deg].
        cd : array_like, shape (2, 2)
            Linear matrix [deg/px].
        sip_a, sip_b : array_like, shape (n, n)
            ``sip_a[p, q]`` multiplies ``u**p * v**q`` and is added to ``u`` [px], ``sip_b`` to ``v``.

        Returns
        -------
        SkyWcs
        """
        polynomials = Polynomial2D(np.asarray(sip_a, float)), Polynomial2D(np.asarray(sip_b, float))
        return cls(crpix, crval, np.asarray(cd, float), sip=polynomials)

    def pixel_to_plane(self, *, x: ArrayLike, y: ArrayLike) -> Points:
        """Return coordinates on the tangent plane at ``crval``.

        Parameters
        ----------
        x, y : array_like
            Pixels.

        Returns
        -------
        xi_deg, eta_deg : ndarray, float64
            Standard coordinates, east and north [deg].
        """
        u, v = np.asarray(x, float) - self.crpix[0], np.asarray(y, float) - self.crpix[1]
        if self.sip is not None:
            u, v = u + self.sip[0](u, v), v + self.sip[1](u, v)
        xi, eta = self.cd[0, 0] * u + self.cd[0, 1] * v, self.cd[1, 0] * u + self.cd[1, 1] * v
        return (xi, eta) if self.tpv is None else self.tpv(xi, eta)

    def plane_jacobian(self, *, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return the derivative of `pixel_to_plane`.

        Parameters
        ----------
        x, y : array_like
            Pixels.

        Returns
        -------
        ndarray, float64, shape (..., 2, 2)
            d(xi, eta)/d(x, y) [deg/px].
        """
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        u, v = x - self.crpix[0], y - self.crpix[1]
        inner = np.broadcast_to(np.eye(2), (*u.shape, 2, 2))
        if self.sip is not None:
            gradients = [np.stack(polynomial.gradient(u, v), axis=-1) for polynomial in self.sip]
            inner = inner + np.stack(gradients, axis=-2)
            u, v = u + self.sip[0](u, v), v + self.sip[1](u, v)
        result = self.cd @ inner
        if self.tpv is not None:
            xi, eta = self.cd[0, 0] * u + self.cd[0, 1] * v, self.cd[1, 0] * u + self.cd[1, 1] * v
            result = self.tpv.jacobian(xi, eta) @ result
        return np.asarray(result)

    def pixel_to_sky(self, *, x: ArrayLike, y: ArrayLike) -> Points:
        """Return sky positions of pixels.

        Parameters
        ----------
        x, y : array_like
            Pixels, parent coordinates, of broadcastable shapes.

        Returns
        -------
        ra_deg, dec_deg : ndarray, float64
            ICRS, ``0 <= ra_deg < 360`` [deg]; NaN for NaN.
        """
        xi, eta = self.pixel_to_plane(x=x, y=y)
        return tangent_plane_inverse(xi_deg=xi, eta_deg=eta, ra0_deg=self.crval[0], dec0_deg=self.crval[1])

    def sky_to_pixel(self, *, ra_deg: ArrayLike, dec_deg: ArrayLike) -> Points:
        """Return pixels of sky positions, by Newton's method.

        Parameters
        ----------
        ra_deg, dec_deg : array_like
            ICRS [deg], of broadcastable shapes.

        Returns
        -------
        x, y : ndarray, float64
            Pixels, parent coordinates, good to 1e-9 px; NaN where the position is not in front of
            the tangent plane or the distortion cannot be inverted there.
        """
        xi, eta = tangent_plane(ra_deg=ra_deg, dec_deg=dec_deg, ra0_deg=self.crval[0], dec0_deg=self.crval[1])
        return self.plane_to_pixel(xi_deg=xi, eta_deg=eta)

    def plane_to_pixel(self, *, xi_deg: ArrayLike, eta_deg: ArrayLike) -> Points:
        """Invert `pixel_to_plane`.

        Parameters
        ----------
        xi_deg, eta_deg : array_like
            Standard coordinates at ``crval`` [deg].

        Returns
        -------
        x, y : ndarray, float64
            Pixels; NaN where Newton's method does not converge or the distortion has folded over.
        """
        target = np.stack(np.broadcast_arrays(np.asarray(xi_deg, float), np.asarray(eta_deg, float)), axis=-1)
        pixel = target @ np.linalg.inv(self.cd).T + np.array(self.crpix)
        if self.sip is None and self.tpv is None:
            return pixel[..., 0], pixel[..., 1]
        with np.errstate(over="ignore", invalid="ignore"):  # steps may run away before they are given up
            solved = self._newton(pixel.reshape(-1, 2), target.reshape(-1, 2)).reshape(pixel.shape)
        x, y = solved[..., 0], solved[..., 1]
        # Far outside the frame a polynomial folds back, and a root there is no image of the sky.
        parity = _determinant(self.plane_jacobian(x=self.crpix[0], y=self.crpix[1]))
        unfolded = _determinant(self.plane_jacobian(x=x, y=y)) * parity > 0.0
        return np.where(unfolded, x, np.nan), np.where(unfolded, y, np.nan)

    def _newton(self, pixel: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
        active = np.flatnonzero(np.isfinite(pixel).all(axis=1))
        for _ in range(_MAX_ITERATIONS):
            if active.size == 0:
                return pixel
            x, y = pixel[active, 0], pixel[active, 1]
            residual = np.stack(self.pixel_to_plane(x=x, y=y), axis=-1) - target[active]
            step = _solve_2x2(self.plane_jacobian(x=x, y=y), residual)
            pixel[active] -= step
            # A step cannot fall below the rounding of the coordinates themselves.
            limit = np.maximum(_TOLERANCE_PX, 4e-15 * np.abs(pixel[active]).max(axis=1))
            active = active[np.isfinite(step).all(axis=1) & (np.abs(step).max(axis=1) > limit)]
        pixel[active] = np.nan
        return pixel

    def jacobian(self, *, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return the derivative of sky position on the local tangent plane.

        Parameters
        ----------
        x, y : array_like
            Pixels.

        Returns
        -------
        ndarray, float64, shape (..., 2, 2)
            d(east, north)/d(x, y) [arcsec/px]; axes at the point itself, not at ``crval``.
        """
        xi, eta = self.pixel_to_plane(x=x, y=y)
        return (
            3600.0
            * tangent_plane_inverse_jacobian(xi_deg=xi, eta_deg=eta, dec0_deg=self.crval[1])
            @ self.plane_jacobian(x=x, y=y)
        )

    def local_affine(self, *, x: float, y: float) -> "SkyWcs":
        """Return the undistorted WCS that is tangent to this one at a pixel.

        Parameters
        ----------
        x, y : float
            Pixel, which becomes the reference pixel.

        Returns
        -------
        SkyWcs
            Gnomonic, equal in position and derivative at the pixel.
        """
        ra, dec = self.pixel_to_sky(x=x, y=y)
        return SkyWcs((x, y), (float(ra), float(dec)), self.jacobian(x=x, y=y) / 3600.0)

    def pixel_scale(self, *, x: ArrayLike | None = None, y: ArrayLike | None = None) -> NDArray[np.float64]:
        """Return the side of a square with a pixel's area on the sky.

        Parameters
        ----------
        x, y : array_like, optional
            Pixels; the reference pixel by default.

        Returns
        -------
        ndarray, float64
            Scale [arcsec/px].
        """
        x = self.crpix[0] if x is None else x
        y = self.crpix[1] if y is None else y
        return np.sqrt(np.abs(_determinant(self.jacobian(x=x, y=y))))

    def shifted(self, *, dx: float, dy: float) -> "SkyWcs":
        """Return the WCS after the pixel origin has moved.

        Parameters
        ----------
        dx, dy : float
            Shift [px]: new pixel = old pixel + ``(dx, dy)``; a trim that cuts 17 columns has ``dx=-17``.

        Returns
        -------
        SkyWcs
        """
        return replace(self, crpix=(self.crpix[0] + dx, self.crpix[1] + dy))

    def to_dict(self) -> dict[str, Any]:
        """Return the exact model as a JSON-able dict.

        Returns
        -------
        dict
        """
        return {
            "crpix": list(self.crpix),
            "crval": list(self.crval),
            "cd": self.cd.tolist(),
            "sip": None if self.sip is None else [polynomial.coefficients.tolist() for polynomial in self.sip],
            "tpv": None if self.tpv is None else self.tpv.to_dict(),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "SkyWcs":
        """Return the WCS written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        SkyWcs
        """
        sip, tpv = state.get("sip"), state.get("tpv")
        return cls(
            crpix=tuple(state["crpix"]),
            crval=tuple(state["crval"]),
            cd=np.array(state["cd"], dtype=np.float64),
            sip=None if sip is None else (Polynomial2D(np.array(sip[0])), Polynomial2D(np.array(sip[1]))),
            tpv=None if tpv is None else TpvPolynomial.from_dict(tpv),
        )

    def content_hash(self) -> str:
        """Return the hash of the exact model.

        Returns
        -------
        str
            32 hexadecimal digits.
        """
        return content_digest([self.to_dict()])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SkyWcs) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.crpix, self.crval))


def _determinant(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return determinants of 2x2 matrices; unlike numpy's, NaN passes without a warning."""
    return np.asarray(matrix[..., 0, 0] * matrix[..., 1, 1] - matrix[..., 0, 1] * matrix[..., 1, 0])


def _solve_2x2(matrix: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve many 2x2 systems; a singular one gives non-finite numbers instead of an error."""
    a, b, c, d = matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1.0 / (a * d - b * c)
        return np.stack(
            [(d * vector[:, 0] - b * vector[:, 1]) * inverse, (a * vector[:, 1] - c * vector[:, 0]) * inverse], axis=-1
        )
