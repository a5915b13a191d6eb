"""Solve a field: find it on the sky, then fit its WCS."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.refcat.sample import ReferenceSample
from etendue.refcat.star_index import StarIndex
from etendue.tasks.astrometry.fit import FitAstrometryConfig, FitAstrometryTask
from etendue.tasks.astrometry.result import AstrometryResult
from etendue.tasks.match.blind import BlindMatch, BlindMatchConfig, BlindMatchTask, SkyHint
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]


class SolveFieldConfig(TaskConfig):
    """The search and the fit."""

    blind: BlindMatchConfig = BlindMatchConfig()
    """Search of the star index."""

    fit: FitAstrometryConfig = FitAstrometryConfig(trust_start=True, stars_per_term=2.0)
    """Fit that starts where the search ends; its matching radius is replaced by the next field, and its order is
    the highest tried: the one that predicts best wins."""

    match_radius_px: float = Field(3.0, gt=0.0)
    """Largest distance of a match after the search: optical distortion that it cannot follow."""

    sources_per_star: float = Field(3.0, gt=0.0)
    """So many of the brightest sources per reference star on the frame are matched in the fit."""

    default_err_px: float = Field(0.1, gt=0.0)
    """Error of source positions per axis where none is given."""


@dataclass(frozen=True, slots=True, eq=False)
class SolvedField:
    """The WCS of a frame and how sure it is.

    Parameters
    ----------
    wcs : SkyWcs
        TAN or TAN-SIP.
    match : BlindMatch
        What the search found, with its log-odds.
    fit : AstrometryResult
        The fit, with matches and residuals.
    """

    wcs: SkyWcs
    match: BlindMatch
    fit: AstrometryResult

    def statistics(self) -> dict[str, float | int | str]:
        """Return the numbers that describe the solution.

        Returns
        -------
        dict
            ``log_odds``, ``matched`` and ``rms_arcsec`` of the fit, ``order``, ``scale_arcsec``, ``rotation_deg``
            (position angle of the y axis, from north through east), ``parity`` (``true`` where east is left of north,
            else ``mirror``), ``ra_deg`` and ``dec_deg`` of the middle of the frame, ``rated`` and ``sources_tried`` of
            the search.
        """
        middle = {"x": self.match.wcs.crpix[0], "y": self.match.wcs.crpix[1]}
        ra, dec = self.wcs.pixel_to_sky(**middle)
        jacobian = self.wcs.jacobian(**middle)
        return {
            "ra_deg": float(ra),
            "dec_deg": float(dec),
            "scale_arcsec": float(self.wcs.pixel_scale(**middle)),
            "rotation_deg": float(np.degrees(np.arctan2(jacobian[0, 1], jacobian[1, 1]))),
            "parity": "true" if np.linalg.det(jacobian) < 0.0 else "mirror",
            "log_odds": self.match.log_odds,
            "matched": self.fit.n_used,
            "rms_arcsec": self.fit.rms_arcsec,
            "order": self.fit.order,
            "rated": self.match.n_rated,
            "sources_tried": self.match.newest_source + 1,
        }


class SolveFieldTask(Task[SolveFieldConfig]):
    """Find a list of sources on the sky, blindly or near a hint, and fit a TAN or TAN-SIP WCS to reference stars."""

    def run(
        self,
        *,
        x: Vector,
        y: Vector,
        flux: Vector,
        bbox: Box,
        index: StarIndex,
        x_err: Vector | None = None,
        y_err: Vector | None = None,
        hint: SkyHint | None = None,
        scale_range_arcsec: tuple[float, float] | None = None,
    ) -> SolvedField:
        """Solve one frame with the stars of the index.

        Parameters
        ----------
        x, y, flux : ndarray, float64, shape (n,)
            Sources [px] and their brightness in any unit, to rank them.
        bbox : Box
            Pixels of the frame.
        index : StarIndex
            What to search.
        x_err, y_err : ndarray, float64, shape (n,), optional
            Errors of the positions [px].
        hint : SkyHint, optional
            Where the middle of the frame should be; anywhere by default.
        scale_range_arcsec : (float, float), optional
            Limits of the pixel scale [arcsec/px].

        Returns
        -------
        SolvedField

        Raises
        ------
        AlgorithmError
            If no position is certain, or too few stars match.
        """
        match = self.locate(
            x=x, y=y, flux=flux, bbox=bbox, index=index, hint=hint, scale_range_arcsec=scale_range_arcsec
        )
        ra, dec, radius = field_cone(match.wcs, bbox)
        stars = index.near(ra_deg=ra, dec_deg=dec, radius_deg=radius)
        return self.refine(
            match=match, x=x, y=y, flux=flux, bbox=bbox, stars=stars, band=index.band, x_err=x_err, y_err=y_err
        )

    def locate(
        self,
        *,
        x: Vector,
        y: Vector,
        flux: Vector,
        bbox: Box,
        index: StarIndex,
        hint: SkyHint | None = None,
        scale_range_arcsec: tuple[float, float] | None = None,
    ) -> BlindMatch:
        """Find the frame, without the fit; arguments as in `run`.

        Returns
        -------
        BlindMatch
        """
        frame = (bbox.x.start - 0.5, bbox.x.stop - 0.5, bbox.y.start - 0.5, bbox.y.stop - 0.5)
        return BlindMatchTask(self.config.blind).run(
            x=x, y=y, flux=flux, frame=frame, index=index, hint=hint, scale_range_arcsec=scale_range_arcsec
        )

    def refine(
        self,
        *,
        match: BlindMatch,
        x: Vector,
        y: Vector,
        flux: Vector,
        bbox: Box,
        stars: ReferenceSample,
        band: str,
        x_err: Vector | None = None,
        y_err: Vector | None = None,
    ) -> SolvedField:
        """Fit the WCS, starting from a match.

        Parameters
        ----------
        match : BlindMatch
            From `locate`.
        x, y, flux, x_err, y_err : ndarray, float64, shape (n,)
            As in `run`.
        bbox : Box
            Pixels of the frame.
        stars : ReferenceSample
            Reference stars around the frame, at its epoch: of the index, or of a deeper catalog.
        band : str
            Their band that ranks them.

        Returns
        -------
        SolvedField

        Raises
        ------
        AlgorithmError
            If too few stars match.
        """
        near = stars.near(match.wcs, bbox, margin_px=2.0 * self.config.match_radius_px)
        brightness = np.where(np.isfinite(flux), flux, -np.inf)
        wanted = max(50, int(self.config.sources_per_star * len(near)))
        bright = np.sort(np.argsort(-brightness, kind="stable")[:wanted])
        error = np.full(np.shape(x), self.config.default_err_px)
        radius = self.config.match_radius_px * float(match.wcs.pixel_scale())
        ranks = near.flux_in(band)
        columns: dict[str, Any] = {
            "x": x[bright],
            "y": y[bright],
            "x_err": (error if x_err is None else x_err)[bright],
            "y_err": (error if y_err is None else y_err)[bright],
            "flux": flux[bright],
            "wcs": match.wcs,
            "ref_ra_deg": near.ra_deg,
            "ref_dec_deg": near.dec_deg,
            "ref_flux": None if ranks is None else ranks[0],
            "ref_err_arcsec": near.err_arcsec,
        }
        fit = self._best_fit(radius, columns)
        return SolvedField(fit.wcs, match, fit)

    def _best_fit(self, radius_arcsec: float, columns: dict[str, Any]) -> AstrometryResult:
        """Return the fit of the order that predicts best."""
        fits: list[AstrometryResult] = []
        reason = ""
        for order in range(1, self.config.fit.order + 1):
            config = self.config.fit.model_copy(update={"match_radius_arcsec": radius_arcsec, "order": order})
            try:
                fits.append(FitAstrometryTask(config).run(**columns))
            except (AlgorithmError, np.linalg.LinAlgError) as error:
                reason = str(error)  # a higher order may fail where a lower one is good
                continue
            if fits[-1].order < order:  # too few stars for more
                break
        if not fits:
            raise AlgorithmError("the field was found, but no WCS fits its stars", reason=reason)
        return min(fits, key=_cross_validation)


def _cross_validation(fit: AstrometryResult) -> float:
    """Return the mean square that stars left out of the fit would have (generalised cross-validation)."""
    n, terms = fit.n_used, fit.covariance.shape[1]
    return float(fit.rms_arcsec**2 / (1.0 - terms / n) ** 2) if n > terms else float("inf")


def field_cone(wcs: SkyWcs, bbox: Box) -> tuple[float, float, float]:
    """Return the cone around a frame with a margin of 2%.

    Parameters
    ----------
    wcs : SkyWcs
        Pixels to sky.
    bbox : Box
        Pixels of the frame.

    Returns
    -------
    ra_deg, dec_deg, radius_deg : float
        Center and radius [deg].
    """
    middle = {"x": bbox.x.center, "y": bbox.y.center}
    ra, dec = wcs.pixel_to_sky(**middle)
    half_diagonal = 0.5 * float(np.hypot(bbox.x.size, bbox.y.size) * wcs.pixel_scale(**middle)) / 3600.0
    return float(ra), float(dec), 1.02 * half_diagonal
