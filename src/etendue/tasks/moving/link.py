"""Link the detections of one night into tracks of moving objects."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.spatial import cKDTree
from scipy.stats import binom

from etendue.geom.sphere import tangent_plane
from etendue.kernels.moving import members, recurrence, supported_pairs
from etendue.table.table import Table
from etendue.tasks.moving.frames import Frames, Site, frames_of
from etendue.tasks.moving.track import Track, TrackPrior, fit_track
from etendue.tasks.task import Task, TaskConfig


class LinkConfig(TaskConfig):
    """How detections become tracks."""

    min_rate: float = Field(1.5, ge=0.0)
    """Slowest motion [arcsec/h]; slower ones cannot be told from residuals of stars in one night."""

    max_rate: float = Field(120.0, gt=0.0)
    """Fastest motion [arcsec/h]."""

    max_gap: float = Field(1.5, gt=0.0)
    """Longest time between the two detections that start a track [h]."""

    tolerance: float = Field(0.7, gt=0.0)
    """Half-width of the corridor around the line through two detections [arcsec]."""

    min_detections: int = Field(4, ge=3)
    """Fewest detections of a track, each in its own visit."""

    max_chi2_per_dof: float = Field(3.0, gt=0.0)
    """Tracks that fit worse are refused."""

    position_floor: float = Field(0.01, ge=0.0)
    """Systematic error added in quadrature to every position [arcsec]."""

    max_sigma: float = Field(3.5, gt=0.0)
    """Detections farther from their track, in the plane, are dropped [sigma]: 0.2% of the true ones."""

    max_false_log10: float = -3.0
    """log10 of the number of chance tracks that is still accepted."""

    static_radius: float = Field(0.8, gt=0.0)
    """Detections that recur within this radius are of something that stands still [arcsec]."""

    static_fraction: float = Field(0.4, gt=0.0, le=1.0)
    """In what fraction of the frames they must recur."""

    density_radius: float = Field(40.0, gt=0.0)
    """Radius around the track inside which the density of other detections is counted [arcsec]..."""

    clump_radius: float = Field(10.0, gt=0.0)
    """...and a smaller one, for rings of residuals around a star; the higher density counts [arcsec]."""

    inverse_distance: float = 0.6
    """Expected 1/distance, which scales diurnal parallax [1/au]."""

    inverse_distance_err: float = Field(0.6, gt=0.0)
    """Its spread over the population [1/au]."""

    acceleration_err: float = Field(0.03, gt=0.0)
    """Spread of other accelerations per axis [arcsec/h**2]."""


@dataclass(frozen=True)
class LinkedTrack:
    """A track and what lies on it.

    Parameters
    ----------
    track : Track
        The fit.
    rows : ndarray, int64, shape (n,)
        Rows of the detections in the source table, in order of time.
    false_log10 : float
        log10 of the expected number of chance tracks with as many detections.
    """

    track: Track
    rows: NDArray[np.int64]
    false_log10: float


class LinkTask(Task[LinkConfig]):
    """Find lines through detections of many frames, fit tracks, keep those that chance cannot make.

    The lines come from all pairs of detections (as in the tracklet finding of Kubica et al. 2007,
    Icarus 189, 151), ordered by the number of frames that support them; a detection is used once.
    """

    def run(self, *, sources: Table, site: Site | None) -> tuple[LinkedTrack, ...]:
        """Link the ``dia_source`` rows of one night, seen from ``site`` (None: no parallax).

        Parameters
        ----------
        sources : Table
            Detections; negative ones are left out, those without position errors too.
        site : Site or None
            The observatory.

        Returns
        -------
        tuple of LinkedTrack
            Best supported first.
        """
        rows = np.flatnonzero(
            ~np.asarray(sources["isNegative"], bool)
            & np.isfinite(sources["ra"]) & np.isfinite(sources["raErr"]) & np.isfinite(sources["decErr"])
        )  # fmt: skip
        if rows.size == 0:
            return ()
        frames = self._without_static(frames_of(sources, rows, site))
        config = self.config
        first, second, support = supported_pairs(
            frames.x, frames.y, frames.hours, frames.start,
            config.min_rate, config.max_rate, config.max_gap, config.tolerance, config.min_detections,
        )  # fmt: skip
        free = np.ones(frames.x.size, bool)
        found = []
        for pair in np.argsort(-support, kind="stable"):
            a, b = int(first[pair]), int(second[pair])
            if free[a] and free[b]:
                linked = self._grow(sources, frames, free, a, b)
                if linked is not None:
                    found.append(linked[0])
                    free[linked[1]] = False
        return tuple(sorted(found, key=lambda t: (-t.rows.size, t.track.chi2 / t.track.dof)))

    def _without_static(self, frames: Frames) -> Frames:
        limit = max(3.0, self.config.static_fraction * (frames.visit.size - 1))
        return frames.where(recurrence(frames.x, frames.y, frames.start, self.config.static_radius) < limit)

    def _grow(
        self, sources: Table, frames: Frames, free: NDArray[np.bool_], a: int, b: int
    ) -> tuple[LinkedTrack, NDArray[np.int64]] | None:
        """Fit, collect what is near the fit, and repeat until the members stay the same."""
        index = np.array([a, b])
        radius = np.full(frames.visit.size, self.config.tolerance)
        for _ in range(8):
            track = self._fit(sources, frames, index)
            place, err = self._predict(frames, track)
            reach = np.minimum(radius + 2.0 * err, 3.0 * self.config.tolerance)
            near = members(frames.x, frames.y, frames.start, place[:, 0].copy(), place[:, 1].copy(), reach)
            near = near[near >= 0]
            near = near[free[near]]
            if near.size > 4:
                fitted = np.isin(near, index)
                near = near[self._pull(sources, frames, track, near, fitted) < self.config.max_sigma]
            if near.size < 3 or np.array_equal(near, index):
                break
            index = near
        return self._accepted(sources, frames, index)

    def _accepted(
        self, sources: Table, frames: Frames, index: NDArray[np.int64]
    ) -> tuple[LinkedTrack, NDArray[np.int64]] | None:
        if index.size < self.config.min_detections:
            return None
        track = self._fit(sources, frames, index)
        too_slow = np.hypot(*track.rate(frames.observer_au)[0]) < self.config.min_rate
        if too_slow or track.chi2 / track.dof > self.config.max_chi2_per_dof:
            return None
        false = self._false_log10(frames, track, index.size)
        if false > self.config.max_false_log10:
            return None
        return LinkedTrack(track, frames.row[index], false), index

    def _fit(self, sources: Table, frames: Frames, index: NDArray[np.int64]) -> Track:
        rows = frames.row[index]
        frame = np.searchsorted(frames.start, index, side="right") - 1
        config = self.config
        return fit_track(
            mjd_tai=frames.mjd_tai[frame],
            ra_deg=np.asarray(sources["ra"], float)[rows],
            dec_deg=np.asarray(sources["dec"], float)[rows],
            err_arcsec=self._errors(sources, rows),
            observer_au=frames.observer_au(frames.mjd_tai[frame]),
            prior=TrackPrior(config.inverse_distance, config.inverse_distance_err, config.acceleration_err),
        )

    def _errors(self, sources: Table, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        formal = np.stack([sources["raErr"][rows], sources["decErr"][rows]], axis=-1).astype(float) * 3600.0
        return np.hypot(formal, self.config.position_floor)

    def _predict(self, frames: Frames, track: Track) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predict on the frames' own tangent plane, shape (nf, 2), with the larger of both errors."""
        observer = frames.observer_au(frames.mjd_tai)
        ra, dec = track.sky(mjd_tai=frames.mjd_tai, observer_au=observer)
        xi, eta = tangent_plane(ra, dec, frames.ra0_deg, frames.dec0_deg)
        err = track.predict_err(mjd_tai=frames.mjd_tai, observer_au=observer).max(axis=1)
        return np.stack([xi, eta], axis=-1) * 3600.0, err

    def _pull(
        self, sources: Table, frames: Frames, track: Track, index: NDArray[np.int64], fitted: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the distance from the track in sigma, both coordinates together.

        The track's own error widens that of a detection it has not seen; the residual of a ``fitted`` one, which
        drew the track towards itself, is smaller than its error by as much (a deleted residual in units of its error).
        """
        place, err = self._predict(frames, track)
        frame = np.searchsorted(frames.start, index, side="right") - 1
        offset = np.stack([frames.x[index], frames.y[index]], axis=-1) - place[frame]
        single, own = self._errors(sources, frames.row[index]) ** 2, err[frame, None] ** 2
        variance = np.where(fitted[:, None], np.maximum(single - own, 0.1 * single), single + own)
        return np.asarray(np.sqrt((offset**2 / variance).sum(axis=1)), np.float64)

    def _false_log10(self, frames: Frames, track: Track, n: int) -> float:
        """Expect chance tracks from detections strewn at the density found along this one.

        Pairs within reach, times the binomial chance that n - 2 of the other frames have something in
        the corridor. The density is that of the surroundings, near and wide: residuals gather around bright stars.
        """
        counts = frames.counts.astype(float)
        hours = frames.hours
        gap = hours[None, :] - hours[:, None]
        usable = (gap > 0.0) & (gap <= self.config.max_gap)
        reach = np.pi * (self.config.max_rate * gap) ** 2 / frames.area
        pairs = float((counts[:, None] * counts[None, :] * np.minimum(reach, 1.0))[usable].sum())
        place, _ = self._predict(frames, track)
        tree, chance = cKDTree(np.stack([frames.x, frames.y], axis=-1)), 0.0
        for radius in (self.config.clump_radius, self.config.density_radius):
            others = tree.query_ball_point(place, radius, return_length=True) - n
            per_frame = float(np.maximum(others, 1.0).mean()) / frames.visit.size
            chance = min(max(chance, per_frame * (self.config.tolerance / radius) ** 2), 1.0)
        tail = binom.logsf(n - 3, frames.visit.size - 2, chance) / np.log(10.0)
        return float(np.log10(max(pairs, 1.0)) + max(tail, -300.0))
