"""Find and mask satellite trails and glints."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import uniform_filter

from etendue.image.exposure import Exposure
from etendue.kernels.streaks import best_lines, bin_significance, paint_line
from etendue.tasks.streak.edge_pieces import pieces_at_edges
from etendue.tasks.streak.streak_table import Streak
from etendue.tasks.streak.trail_fit import (
    Pieces,
    across_profile,
    bright_run,
    centre_line,
    fit_gaussian,
    pieces_along,
    reach_of,
)
from etendue.tasks.streak.trail_line import TrailLine
from etendue.tasks.task import Task, TaskConfig

_TURNS = ((False, False), (False, True), (True, False), (True, True))  # transposed, mirrored
_BINS = 64  # of the columns in which lines begin; of each bin the best line is looked at
_FINE = 4  # rows by which the ends of bright trails are known
_Rows = tuple[int, int]
_Turn = tuple[bool, bool]
_Found = tuple[_Turn, NDArray[np.float64]]


class FindStreaksConfig(TaskConfig):
    """Configuration of `FindStreaksTask`."""

    cell: int = Field(4, ge=1)
    """Side of the cells in which light is summed [px]."""

    clip: float = Field(3.0, gt=0.0)
    """Cells count as this much at most, so that stars do not make lines [sigma]."""

    smooth: int = Field(33, ge=3)
    """Cells over which a local mean is taken off: haloes and galaxies are wider than trails."""

    min_snr: float = Field(6.5, gt=0.0)
    """Least significance of a line of cells."""

    shortest: int = Field(32, ge=4)
    """Shortest line, in cells; a power of two."""

    shortest_px: float = Field(32.0, ge=16.0)
    """Shortest piece of a trail that is brighter than ``piece_snr`` and leaves the image [px]."""

    piece_snr: float = Field(3.0, gt=0.0)
    """Least S/N of the pixels of such a piece."""

    slimness: float = Field(5.0, gt=1.0)
    """Least length of such a piece over its width."""

    covered: float = Field(0.5, gt=0.0, le=1.0)
    """Least part of a line's cells that is usable."""

    verify_snr: float = Field(5.0, gt=0.0)
    """Least significance of the medians along a trail: stars fill a few pieces of it, a trail nearly all."""

    verify_fraction: float = Field(0.7, ge=0.0, le=1.0)
    """Least part of the pieces that must be brighter than their sides by half of what they are on average."""

    half_width: int = Field(40, ge=20)
    """Pixels on each side of a line that are looked at."""

    core: float = Field(3.0, gt=0.0)
    """Distance from the axis within which light counts for the significance [px]."""

    widest: float = Field(2.2, gt=1.0)
    """Greatest width of a trail, in widths of the PSF; galaxies and haloes are wider."""

    widest_px: float = Field(8.0, gt=1.0)
    """The same without a PSF [px]."""

    narrowest_px: float = Field(1.3, gt=0.0)
    """Least width of a trail: columns of the detector are narrower [px]."""

    extend: float = Field(0.15, ge=0.0, le=1.0)
    """A trail that ends nearer to an edge than this part of its line is masked up to the edge."""

    continuous: float = Field(0.5, ge=0.0, lt=1.0)
    """Part of the light of its pieces that the median row of a trail has at least."""

    dim_snr: float = Field(8.0, gt=0.0)
    """A piece of a trail of any brightness counts as part of it from 40% of this on [sigma]."""

    evenness: float = Field(0.5, ge=0.0, lt=1.0)
    """Of a trail that ends on the image, the fainter third is at least this part of the brightest: spikes fade."""

    edge: float = Field(6.0, ge=0.0)
    """Lines that stay nearer to an edge than this are rows or columns of the detector [px]."""

    mask_level: float = Field(0.2, gt=0.0)
    """The mask reaches to where the trail is fainter than this part of a pixel's noise,"""

    margin: float = Field(1.0, ge=0.0)
    """and this much farther [px]."""

    most_streaks: int = Field(20, ge=1)
    """The search is repeated while it finds trails, up to this many."""

    lines_per_search: int = Field(24, ge=1)
    """The most significant lines of a search that are looked at, trails or not."""

    excluded_planes: tuple[str, ...] = ("SAT", "BAD", "NO_DATA", "CR", "SPIKE", "EDGE")
    """Planes whose pixels are not used."""


class FindStreaksResult(NamedTuple):
    """An exposure with its trails masked, and the trails."""

    exposure: Exposure
    """With plane STREAK set."""

    streaks: tuple[Streak, ...]
    """In the order of significance in which they were found; see `streak_columns` for columns."""


class _Frame(NamedTuple):
    """What trails are fitted on."""

    image: NDArray[np.float32]
    bad: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    widest: float


class FindStreaksTask(Task[FindStreaksConfig]):
    """Find straight trails by sums along all lines of a clipped significance image, fit them and set STREAK.

    Lines are searched in cells of a few pixels, as by LSST's maskStreaks (which transforms detected pixels only), but
    with sums instead of votes, so that trails below one sigma per pixel add up. Each line is then fitted on the
    pixels by medians along it, and masked as far as it is seen: from edge to edge, or between its ends.
    """

    def run(self, *, exposure: Exposure) -> FindStreaksResult:
        """Find and mask trails.

        Parameters
        ----------
        exposure : Exposure
            With variance and mask; sky subtracted or not.

        Returns
        -------
        FindStreaksResult
        """
        config = self.config
        image = exposure.image.array
        bad = exposure.mask.any_of(config.excluded_planes)
        values, weights = self._cells(exposure, bad)
        frame = _Frame(image, bad, exposure.mask.any_of("SAT"), _widest(exposure, config))
        painted = np.zeros(image.shape, bool)
        streaks: list[Streak] = []
        turns = set(_TURNS)
        while turns and len(streaks) < config.most_streaks:
            lines, turns = self._search(values, weights, turns), set()
            for turn, line in lines:
                if not self._is_left(values, weights, line):
                    continue
                self._forget(values, weights, line)
                streak = self._fit(frame, line, self.config.shortest * self.config.cell)
                if streak is not None and not _is_painted(painted, streak):
                    streaks.append(streak)
                    turns.add(turn)  # a brighter trail may have hidden others of its direction
                    _paint(painted, streak)
                    self._forget(values, weights, np.array([*_ends(streak), streak.reach]))
        self._add_pieces(frame, exposure.variance.array, painted, streaks)
        origin_x, origin_y = exposure.bbox.x.start, exposure.bbox.y.start
        masked = exposure.replace(mask=exposure.mask.with_plane("STREAK", painted))
        return FindStreaksResult(masked, tuple(_moved(streak, origin_x, origin_y) for streak in streaks))

    def _add_pieces(
        self, frame: _Frame, variance: NDArray[np.float32], painted: NDArray[np.bool_], streaks: list[Streak]
    ) -> None:
        """Add short bright pieces that leave the image, in place."""
        config = self.config
        bright = frame.image > config.piece_snr * np.sqrt(variance)
        bright &= ~(frame.bad | painted)
        pieces = pieces_at_edges(
            bright, depth=config.shortest * config.cell, edge=config.edge, shortest=config.shortest_px,
            narrowest=config.narrowest_px, slimness=config.slimness,
        )  # fmt: skip
        for ends in pieces[: config.lines_per_search]:
            streak = self._fit(frame, np.array([*ends, config.cell]), config.shortest_px)
            if streak is None or streak.length > config.shortest * config.cell:
                continue  # longer ones were judged before
            if not _is_painted(painted, streak) and len(streaks) < config.most_streaks:
                streaks.append(streak)
                _paint(painted, streak)

    def _cells(self, exposure: Exposure, bad: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the significance of cells, clipped, without what is wider than a trail, and where it is."""
        config = self.config
        cells = np.empty([n // config.cell for n in exposure.bbox.shape], np.float32)
        bin_significance(exposure.image.array, exposure.variance.array, bad, config.cell, cells)
        known = np.isfinite(cells)
        if not known.any():
            return np.zeros_like(cells), np.zeros_like(cells)
        middle = float(np.median(cells[known]))
        scale = 1.4826 * float(np.median(np.abs(cells[known] - middle))) or 1.0
        values = np.where(known, np.clip((cells - middle) / scale, -config.clip, config.clip), 0.0).astype(np.float32)
        for _ in range(2):  # what the first pass takes off shifts the clipping
            share = uniform_filter(known.astype(np.float32), config.smooth)
            local = uniform_filter(values, config.smooth) / np.maximum(share, 1e-3)
            values = np.where(known, np.clip(values - local, -config.clip, config.clip), 0.0).astype(np.float32)
        values /= np.float32(np.std(values[known]) or 1.0)
        return values, known.astype(np.float32)

    def _search(self, values: NDArray[np.float32], weights: NDArray[np.float32], turns: set[_Turn]) -> list[_Found]:
        """Return x0, y0, x1, y1 and half the width [px] of significant lines, the most significant first."""
        config, lines = self.config, []
        for turned, mirrored in sorted(turns):
            planes = [plane.T if turned else plane for plane in (values, weights)]
            planes = [np.ascontiguousarray(plane[:, ::-1] if mirrored else plane) for plane in planes]
            found = np.zeros((_BINS, 5))
            found[:, 0] = config.min_snr
            best_lines(*planes, config.shortest, config.covered, found)
            for snr, row0, column0, row1, column1 in found[found[:, 0] > config.min_snr]:
                first, last = (planes[0].shape[1] - 1 - c if mirrored else c for c in (column0, column1))
                ends = (row0, first, row1, last) if turned else (first, row0, last, row1)
                place = (np.array(ends) + 0.5) * config.cell - 0.5
                lines.append((snr, (turned, mirrored), np.append(place, config.cell)))
        lines.sort(key=lambda line: -line[0])
        return [(turn, line) for _, turn, line in lines[: config.lines_per_search]]

    def _is_left(self, values: NDArray[np.float32], weights: NDArray[np.float32], line: NDArray[np.float64]) -> bool:
        """Tell whether a line is significant still, after others were taken out."""
        size = self.config.cell
        here = np.zeros(weights.shape, bool)
        paint_line(here, *((line[:4] + 0.5) / size - 0.5), 0.75)
        left = float(values[here].sum()) / max(float(weights[here].sum()), 1.0) ** 0.5
        return left > 0.6 * self.config.min_snr  # the band is wider than the line of cells was

    def _forget(self, values: NDArray[np.float32], weights: NDArray[np.float32], line: NDArray[np.float64]) -> None:
        """Take the cells of a line out of the search, in place."""
        size = self.config.cell
        gone = np.zeros(values.shape, bool)
        paint_line(gone, *((line[:4] + 0.5) / size - 0.5), line[4] / size + 1.0)
        values[gone], weights[gone] = 0.0, 0.0

    def _fit(self, frame: _Frame, found: NDArray[np.float64], shortest: float) -> Streak | None:
        """Fit a trail to a line; None where there is no trail of a length."""
        line = TrailLine.through(*found[:4])
        begin, end = sorted(found[[0, 2]] if line.turned else found[[1, 3]])
        inside = line.rows_inside(frame.image.shape)
        rows = max(inside[0], int(begin)), min(inside[1], int(end) + 1)
        if rows[1] - rows[0] < min(self.config.shortest, 0.5 * shortest):
            return None
        for window in (12, 6, 4):
            line = centre_line(line, self._pieces(line, frame, rows, 8), window, 7)
        return self._ended(line, frame, rows, shortest)

    def _ended(self, line: TrailLine, frame: _Frame, rows: _Rows, shortest: float) -> Streak | None:
        """Find the ends of a trail on a line that is known to hold it in some rows, and measure it."""
        config = self.config
        known = self._pieces(line, frame, rows, 16)
        seen = bright_run(known.significance, max(_quartile(known.significance), 3.0))  # lines overshoot their trails
        if not self._is_even(known.significance[slice(*seen)]):
            return None
        rows = rows[0] + seen[0] * (rows[1] - rows[0]) // 16, rows[0] + seen[1] * (rows[1] - rows[0]) // 16
        per_row = max(
            _mean(np.clip(known.significance[slice(*seen)], 0.0, 40.0)) ** 2
            * (seen[1] - seen[0])
            / (rows[1] - rows[0]),
            1e-6,
        )
        inside = line.rows_inside(frame.image.shape)
        count = int(np.clip((inside[1] - inside[0]) * per_row / 16.0, 8, 64))  # pieces of about 4 sigma
        pieces = self._pieces(line, frame, inside, count)
        known_part = (pieces.rows >= rows[0]) & (pieces.rows < rows[1])
        typical = float(np.clip(_median(pieces.significance[known_part]), 3.0, config.dim_snr))
        run = bright_run(pieces.significance, typical)
        near = max(1.0, config.extend * count)
        first, last = run[0] <= near, run[1] >= count - near
        step = (inside[1] - inside[0]) / count
        begin = inside[0] if first else inside[0] + run[0] * step
        end = inside[1] - 1 if last else inside[0] + run[1] * step
        begin = begin if first else self._finer_end(line, frame, (begin, step, per_row), 0)
        end = end if last else self._finer_end(line, frame, (end, step, per_row), 1)
        if end - begin < shortest * line.foreshortening and not (first and last):
            return None
        rows = int(begin), int(end) + 1
        if not self._is_continuous(line, frame, rows):
            return None
        part = self._pieces(line, frame, rows, 12)
        if not (first and last and not self._through_star(line, frame.saturated)) and not self._is_steady(part):
            return None
        profile, error = across_profile(part, (0, 12))
        peak, _, fwhm = fit_gaussian(profile, line.foreshortening)
        if not config.narrowest_px <= fwhm <= frame.widest:
            return None
        reach = max(reach_of(profile, error, config.mask_level * pieces.sigma, line.foreshortening), fwhm)
        ends = np.array([line.point(begin), line.point(end)]).ravel()
        angle = float(np.degrees(np.arctan2(ends[3] - ends[1], ends[2] - ends[0]))) % 180.0
        light = peak * fwhm * float(np.sqrt(np.pi / np.log(16.0)))
        snr = _summed(pieces.significance[slice(*run)], 8.0)
        x0, y0, x1, y1 = (float(place) for place in ends)
        if _along_edge(x0, y0, x1, y1, frame.image.shape, config.edge):
            return None
        return Streak(x0, y0, x1, y1, angle, fwhm, peak, light, reach + config.margin, snr, first and last)

    def _finer_end(self, line: TrailLine, frame: _Frame, known: tuple[float, float, float], side: int) -> float:
        """Return the row of an end to a few pixels, if a few rows show the trail; side 0 is the beginning."""
        place, step, per_row = known
        inside = line.rows_inside(frame.image.shape)
        rows = max(inside[0], int(place - step)), min(inside[1], int(place + step) + 1)
        count, typical = (rows[1] - rows[0]) // _FINE, float(np.sqrt(_FINE * per_row))
        if count < 2 or typical < 3.0:
            return place
        seen = self._pieces(line, frame, rows, count).significance
        run = bright_run(np.where(seen > -3.0, seen, np.nan), min(typical, 20.0))  # stars beside it make pieces dark
        return rows[0] + run[side] * (rows[1] - rows[0]) / count

    def _pieces(self, line: TrailLine, frame: _Frame, rows: _Rows, count: int) -> Pieces:
        return pieces_along(line, frame.image, frame.bad, rows, count, self.config.half_width, self.config.core)

    def _is_even(self, significance: NDArray[np.float64]) -> bool:
        """Tell whether the light comes from all along the line: stars give a few bright pieces."""
        z = significance[np.isfinite(significance)]
        if z.size < 4:
            return False
        bright = float(np.mean(z > 0.3 * np.median(z)))
        return _summed(z, 3.0) > self.config.verify_snr and bright >= self.config.verify_fraction

    def _is_continuous(self, line: TrailLine, frame: _Frame, rows: _Rows) -> bool:
        """Tell whether most rows hold the light that the medians of pieces say: stars in a row fill less than half."""
        pieces = self._pieces(line, frame, rows, 16).significance * np.sqrt(16.0 / (rows[1] - rows[0]))
        single = self._pieces(line, frame, rows, rows[1] - rows[0]).significance
        return _median(single) > self.config.continuous * min(_mean(pieces), 3.0)

    def _through_star(self, line: TrailLine, saturated: NDArray[np.bool_]) -> bool:
        """Tell whether a line passes a saturated star, as its spikes do."""
        rows = line.rows_inside(saturated.shape)
        strip = line.strip(np.zeros(saturated.shape, np.float32), saturated, 4, rows)
        inside = line.strip(np.zeros(saturated.shape, np.float32), np.zeros_like(saturated), 4, rows)
        return bool((np.isnan(strip) & ~np.isnan(inside)).any())

    def _is_steady(self, pieces: Pieces) -> bool:
        """Tell a trail that ends from a spike or a galaxy, which fade."""
        thirds = [_median(third) for third in np.array_split(pieces.significance, 3)]
        return min(thirds) > self.config.evenness * max(thirds)


def _ends(streak: Streak) -> tuple[float, float, float, float]:
    return streak.x0, streak.y0, streak.x1, streak.y1


def _paint(painted: NDArray[np.bool_], streak: Streak) -> None:
    paint_line(painted, *_ends(streak), streak.reach)


def _is_painted(painted: NDArray[np.bool_], streak: Streak) -> bool:
    """Tell whether a trail was found before, by the points of its axis."""
    rows, columns = (np.rint(np.linspace(*ends, 101)).astype(int)
                     for ends in ((streak.y0, streak.y1), (streak.x0, streak.x1)))  # fmt: skip
    ny, nx = painted.shape
    return bool(painted[np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1)].mean() > 0.5)


def _along_edge(x0: float, y0: float, x1: float, y1: float, shape: tuple[int, int], margin: float) -> bool:
    """Tell whether both ends lie within a margin of the same edge."""
    ny, nx = shape
    return max(x0, x1) < margin or max(y0, y1) < margin or min(x0, x1) > nx - margin or min(y0, y1) > ny - margin


def _median(values: NDArray[np.float64]) -> float:
    """Return the median of the known values; 0 if there are none."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else 0.0


def _quartile(values: NDArray[np.float64]) -> float:
    """Return the upper quartile of the known values; 0 if there are none."""
    known = values[np.isfinite(values)]
    return float(np.percentile(known, 75.0)) if known.size else 0.0


def _mean(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.mean(known)) if known.size else 0.0


def _summed(values: NDArray[np.float64], most: float) -> float:
    """Return the significance of all pieces together, each counted up to a limit."""
    known = values[np.isfinite(values)]
    return float(np.sum(np.clip(known, -most, most)) / np.sqrt(max(known.size, 1)))


def _widest(exposure: Exposure, config: FindStreaksConfig) -> float:
    """Return the greatest width that a trail may have [px]."""
    if exposure.psf is None:
        return config.widest_px
    x, y = (0.5 * (interval.start + interval.stop) for interval in (exposure.bbox.x, exposure.bbox.y))
    return config.widest * float(np.ravel(exposure.psf.fwhm(x=x, y=y))[0])


def _moved(streak: Streak, x: int, y: int) -> Streak:
    """Return a trail in parent pixels."""
    values = {name: getattr(streak, name) for name in Streak.__slots__}
    moved = {"x0": streak.x0 + x, "x1": streak.x1 + x, "y0": streak.y0 + y, "y1": streak.y1 + y}
    return Streak(**(values | moved))
