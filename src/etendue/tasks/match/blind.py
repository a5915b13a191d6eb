"""Find where on the sky a list of sources lies, without knowing anything about it."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import sky_position, unit_vector
from etendue.kernels.asterism import project
from etendue.kernels.field_match import field_log_odds, fit_similarity, rate_hits, search_codes, stars_on_frame
from etendue.refcat.star_index import StarIndex
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

_RAD_PER_ARCSEC = np.pi / 180.0 / 3600.0


class BlindMatchConfig(TaskConfig):
    """How far the search goes, and how sure a match must be."""

    n_quad_sources: int = Field(50, ge=4, le=100)
    """The brightest sources, of which quads are tried: all of the first four, then of five, and so on."""

    n_test_sources: int = Field(80, ge=10, le=1000)
    """The brightest sources that judge a proposed position."""

    n_test_stars: int = Field(120, ge=10, le=2000)
    """The brightest index stars on the frame that judge it."""

    cells_per_side: int = Field(3, ge=1, le=20)
    """Sources are taken evenly from so many cells along each side: the brightest of all cells, then the second
    brightest... A cluster or a galaxy then cannot take all places."""

    position_err_px: float = Field(1.0, gt=0.0)
    """Error of source positions per axis, optical distortion included."""

    distractors: float = Field(0.3, gt=0.0, lt=1.0)
    """Fraction of the sources that are no index stars."""

    code_err_px: float = Field(1.5, gt=0.0)
    """Codes may differ by this over the distance of A and B..."""

    code_err_range: tuple[float, float] = (0.003, 0.015)
    """...but not by less or more than these."""

    min_quad_fraction: float = Field(0.1, ge=0.0, lt=1.0)
    """Shortest distance of A and B, in units of the frame's diagonal."""

    scale_range_arcsec: tuple[float, float] = (0.02, 120.0)
    """Limits of the pixel scale [arcsec/px]."""

    promising_log_odds: float = Field(12.0, gt=0.0)
    """A position with this log-odds is fitted to all its matches, and judged again."""

    accept_log_odds: float = Field(27.6, gt=0.0)
    """Smallest natural log-odds of a solution: 10**12 to one."""

    max_rated: int = Field(500_000, ge=1)
    """Positions rated before the search is given up."""


@dataclass(frozen=True, slots=True)
class SkyHint:
    """Where the middle of the frame should be.

    Parameters
    ----------
    ra_deg, dec_deg : float
        Direction [deg].
    radius_deg : float
        How far off it may be [deg].
    """

    ra_deg: float
    dec_deg: float
    radius_deg: float


@dataclass(frozen=True, slots=True, eq=False)
class BlindMatch:
    """A verified position.

    Parameters
    ----------
    wcs : SkyWcs
        Tangent at the middle of the frame, without distortion.
    log_odds : float
        Natural logarithm of the odds for this position, without the four stars that proposed it.
    source, star : ndarray, int64, shape (n,)
        Matched sources and rows of the index.
    n_rated : int
        Positions that were compared with the index stars before this one was found.
    newest_source : int
        Rank of the faintest source of the quad that found it, from 0.
    """

    wcs: SkyWcs
    log_odds: float
    source: Rows
    star: Rows
    n_rated: int
    newest_source: int


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    """Bright sources and their frame."""

    x: Vector
    y: Vector
    source: Rows
    frame: Vector
    hint: Vector
    hint_rad: float

    @property
    def diagonal(self) -> float:
        """Length of the frame's diagonal [px]."""
        return float(np.hypot(self.frame[1] - self.frame[0], self.frame[3] - self.frame[2]))

    @property
    def area(self) -> float:
        """Area of the frame [px**2]."""
        return float((self.frame[1] - self.frame[0]) * (self.frame[3] - self.frame[2]))


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """A position, its log-odds, and its matches without the quad."""

    center: Vector
    plane: Vector
    log_odds: float
    source: Rows
    star: Rows


class BlindMatchTask(Task[BlindMatchConfig]):
    """Look up geometric hashes of four bright sources in a star index; verify what they propose by its odds.

    Lang et al. 2010, AJ 139, 1782. Free of rotation, parity and scale, as far as the config and the hint allow.
    """

    def run(
        self,
        *,
        x: Vector,
        y: Vector,
        flux: Vector,
        frame: tuple[float, float, float, float],
        index: StarIndex,
        hint: SkyHint | None = None,
        scale_range_arcsec: tuple[float, float] | None = None,
    ) -> BlindMatch:
        """Find the position of a frame.

        Parameters
        ----------
        x, y : ndarray, float64, shape (n,)
            Sources [px]; those that are not finite are not used.
        flux : ndarray, float64, shape (n,)
            Brightness, to rank them; NaN ranks last.
        frame : (float, float, float, float)
            Lowest and highest x, lowest and highest y of the frame [px].
        index : StarIndex
            What to search.
        hint : SkyHint, optional
            Where the middle of the frame should be; anywhere by default.
        scale_range_arcsec : (float, float), optional
            Limits of the pixel scale instead of the configured ones [arcsec/px].

        Returns
        -------
        BlindMatch

        Raises
        ------
        AlgorithmError
            If no position reaches the odds, or the sources are too few.
        """
        seen = self._field(x, y, flux, frame, hint)
        low, high = scale_range_arcsec or self.config.scale_range_arcsec
        scales = low * _RAD_PER_ARCSEC, high * _RAD_PER_ARCSEC
        rated, best = 0, 0.0
        for newest in range(3, min(self.config.n_quad_sources, seen.x.size)):
            for level in self._levels(index, seen, scales):
                hits, log_odds, count = self._scan(seen, index, level, newest, scales)
                rated += count
                best = max(best, float(log_odds.max(initial=0.0)))
                for row in np.argsort(-log_odds, kind="stable")[:5]:
                    if log_odds[row] < self.config.promising_log_odds:
                        break
                    judged = self._judge(seen, index, hits[row])
                    best = max(best, judged.log_odds)
                    if judged.log_odds >= self.config.accept_log_odds:
                        return self._result(seen, index, judged, rated, newest)
            if rated > self.config.max_rated:
                break
        raise AlgorithmError(
            "no star pattern of the index found", sources=seen.x.size, rated=rated, best_log_odds=round(best, 1)
        )

    def _field(
        self, x: Vector, y: Vector, flux: Vector, frame: tuple[float, float, float, float], hint: SkyHint | None
    ) -> _Field:
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        usable = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        brightness = np.where(np.isfinite(flux), flux, -np.inf)[usable]
        rank = _rank_in_cell(x[usable], y[usable], brightness, frame, self.config.cells_per_side)
        source = usable[np.lexsort((-brightness, rank))][: self.config.n_test_sources]
        if source.size < 6:
            raise AlgorithmError("too few sources for a blind match", sources=source.size, needed=6)
        center = unit_vector(hint.ra_deg, hint.dec_deg) if hint else np.array([1.0, 0.0, 0.0])
        radius = np.radians(min(hint.radius_deg, 180.0)) if hint else np.pi
        return _Field(x[source], y[source], source, np.array(frame, np.float64), center, float(radius))

    def _levels(self, index: StarIndex, seen: _Field, scales: tuple[float, float]) -> list[int]:
        """Return the levels whose quads fit into the frame at some allowed scale, coarsest first."""
        largest = seen.diagonal * scales[1]
        smallest = self.config.min_quad_fraction * seen.diagonal * scales[0]
        return [k for k, cell in enumerate(index.cell_rad) if 0.5 * cell <= largest and cell >= smallest]

    def _scan(
        self, seen: _Field, index: StarIndex, level: int, newest: int, scales: tuple[float, float]
    ) -> tuple[Rows, Vector, int]:
        """Return the hits of one more source in one level, their log-odds, and how many were rated."""
        config = self.config
        cell = index.cell_rad[level]
        shortest = max(config.min_quad_fraction * seen.diagonal, 0.5 * cell / scales[1])
        first, last = int(index.quad_start[level]), int(index.quad_start[level + 1])
        hits = search_codes(
            seen.x, seen.y, newest, shortest, config.code_err_px, *config.code_err_range, index.codes, first, last
        )
        log_odds, rated = rate_hits(
            hits, seen.x, seen.y, index.quads, index.vectors, index.flux, index.star_start, index.cell_rad, seen.frame,
            seen.hint, seen.hint_rad, *scales, config.n_test_stars, config.position_err_px, config.distractors,
            config.accept_log_odds + 10.0,
        )  # fmt: skip
        return hits, log_odds, rated

    def _judge(self, seen: _Field, index: StarIndex, hit: Rows) -> _Judged:
        """Fit a position to all its matches, and judge it again; the quad never counts."""
        quad, quad_stars = hit[1:], np.asarray(index.quads[hit[0]], np.int64)
        sources, stars, best = quad, quad_stars, None
        for _ in range(3):
            center, plane = _fit(seen, index, sources, stars)
            judged = self._odds(seen, index, center, plane, quad, sources)
            if best is not None and judged.log_odds <= best.log_odds:
                break
            best = judged
            sources, stars = np.concatenate([quad, judged.source]), np.concatenate([quad_stars, judged.star])
        assert best is not None
        return replace(best, source=np.concatenate([quad, best.source]), star=np.concatenate([quad_stars, best.star]))

    def _odds(self, seen: _Field, index: StarIndex, center: Vector, plane: Vector, quad: Rows, fitted: Rows) -> _Judged:
        """Judge a position whose quad and matches are given; errors grow away from those."""
        config = self.config
        width = np.hypot(plane[0], plane[1]) * seen.diagonal
        level = int(np.argmax(np.r_[index.cell_rad <= 0.35 * width, True]))
        level = min(level, len(index.orders) - 1)
        first, last = int(index.star_start[level]), int(index.star_start[level + 1])
        rows, ref_x, ref_y = stars_on_frame(
            index.vectors, index.flux, first, last, center, plane, seen.frame, config.n_test_stars
        )
        x, y = seen.x[quad][:, None], seen.y[quad][:, None]
        keep = ~((ref_x - x) ** 2 + (ref_y - y) ** 2 < (3.0 * config.position_err_px) ** 2).any(axis=0)
        middle = seen.x[fitted].mean(), seen.y[fitted].mean()
        reach = float(np.sqrt(np.mean((seen.x[fitted] - middle[0]) ** 2 + (seen.y[fitted] - middle[1]) ** 2)))
        used, match = np.zeros(seen.x.size, bool), np.empty(seen.x.size, np.int64)
        used[quad] = True
        log_odds = field_log_odds(
            seen.x, seen.y, used, ref_x[keep], ref_y[keep], config.position_err_px, *middle, reach, seen.area,
            config.distractors, match,
        )  # fmt: skip
        found = np.flatnonzero(match >= 0)
        return _Judged(center, plane, log_odds, found, rows[keep][match[found]])

    def _result(self, seen: _Field, index: StarIndex, judged: _Judged, rated: int, newest: int) -> BlindMatch:
        return BlindMatch(
            _to_wcs(seen, judged), judged.log_odds, seen.source[judged.source], judged.star, rated, newest
        )


def _rank_in_cell(
    x: Vector, y: Vector, brightness: Vector, frame: tuple[float, float, float, float], cells: int
) -> Rows:
    """Return how many sources of the same cell of the frame are brighter."""
    column, row = (
        np.clip(((v - low) / (high - low) * cells).astype(np.int64), 0, cells - 1)
        for v, low, high in ((x, *frame[:2]), (y, *frame[2:]))
    )
    cell = row * cells + column
    order = np.lexsort((-brightness, cell))
    _, start, count = np.unique(cell[order], return_index=True, return_counts=True)
    rank = np.empty(x.size, np.int64)
    rank[order] = np.arange(x.size) - np.repeat(start, count)
    return rank


def _fit(seen: _Field, index: StarIndex, sources: Rows, stars: Rows) -> tuple[Vector, Vector]:
    """Return direction of the middle of the frame, and the map ``a, b, dx, dy, parity`` to its tangent plane."""
    x, y = seen.x[sources], seen.y[sources]
    middle = 0.5 * (seen.frame[0] + seen.frame[1]), 0.5 * (seen.frame[2] + seen.frame[3])
    center = np.asarray(index.vectors[stars]).mean(axis=0)
    xi, eta = np.empty(stars.size), np.empty(stars.size)
    for _ in range(2):
        center = center / np.linalg.norm(center)
        project(index.vectors, stars, center, xi, eta)
        parity = min((1.0, -1.0), key=lambda sign: fit_similarity(x, y, xi, eta, sign)[4])
        a, b, dx, dy, _square = fit_similarity(x, y, xi, eta, parity)
        u = a * middle[0] - b * parity * middle[1] + dx
        v = b * middle[0] + a * parity * middle[1] + dy
        east, north = _axes(center)
        center = center + u * east + v * north
    return center / np.linalg.norm(center), np.array([a, b, dx - u, dy - v, parity])


def _axes(center: Vector) -> tuple[Vector, Vector]:
    """Return unit vectors east and north of a direction."""
    axis = float(np.hypot(center[0], center[1]))
    sin_ra, cos_ra = (center[1] / axis, center[0] / axis) if axis > 0.0 else (0.0, 1.0)
    return np.array([-sin_ra, cos_ra, 0.0]), np.array([-center[2] * cos_ra, -center[2] * sin_ra, axis])


def _to_wcs(seen: _Field, judged: _Judged) -> SkyWcs:
    a, b, _dx, _dy, parity = judged.plane
    middle = 0.5 * (seen.frame[0] + seen.frame[1]), 0.5 * (seen.frame[2] + seen.frame[3])
    ra, dec = sky_position(judged.center)
    cd = np.degrees(np.array([[a, -b * parity], [b, a * parity]]))
    return SkyWcs(middle, (float(ra), float(dec)), cd)
