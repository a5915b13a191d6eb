"""Apply calibration products to the frames they were made of, and judge what is left."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from math import isfinite, nan
from typing import NamedTuple

import numpy as np
from pydantic import Field

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.image.exposure import Exposure
from etendue.tasks.calib.check_defects import OddPixelConfig, OddPixels
from etendue.tasks.calib.check_level import check_bias, check_dark, check_flat
from etendue.tasks.calib.check_pairs import PairCheckConfig, PairChecks
from etendue.tasks.calib.check_trails import GhostConfig, TransferChecks, check_crosstalk
from etendue.tasks.calib.exposed import LevelConfig
from etendue.tasks.calib.frame_check import FrameCheck
from etendue.tasks.calib.photon_transfer import equal_pairs
from etendue.tasks.calib.verdict import Verdict
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.electronics import electronics_of
from etendue.tasks.readout.readout import ReadoutConfig, ReadoutTask
from etendue.tasks.task import Task, TaskConfig

Limits = tuple[float, float]


class VerifyFramesConfig(TaskConfig):
    """Configuration of `VerifyFramesTask`: which frames, and limits of the median over frames."""

    readout: ReadoutConfig = ReadoutConfig()
    """From raw to trimmed pixels; must be that of the products."""

    levels: LevelConfig = LevelConfig()
    """Levels of flats."""

    pairs: PairCheckConfig = PairCheckConfig()
    """Pairs of flats."""

    ghosts: GhostConfig = GhostConfig()
    """Spots for crosstalk."""

    odd_pixels: OddPixelConfig = OddPixelConfig()
    """Bad pixels of single frames."""

    most_frames: int = Field(6, ge=1)
    """Frames to which a bias, dark, or flat is applied, spread evenly over those it was made of."""

    mean: Limits = (-1.0, 1.0)
    """Mean of a bias less the master, or a dark [read noises]."""

    noise: Limits = (-0.1, 0.1)
    """Relative excess of its noise over read noise and dark current."""

    structure: Limits = (0.0, 1.0)
    """Standard deviation of its medians over 64 pixels [read noises]."""

    flat_scatter: Limits = (-0.1, 0.2)
    """Relative excess of the scatter of a flat over its master over photon noise: twilights hold faint stars."""

    flat_structure: Limits = (0.0, 0.02)
    """Standard deviation of the medians of a flat over its master over 64 pixels: twilights have slopes."""

    flat_step: Limits = (-0.02, 0.02)
    """Departure of an amplifier's level in a flat over its master from that of the detector."""

    gain: Limits = (-0.02, 0.02)
    """Relative departure of the gain that single pairs of flats show."""

    linearity: Limits = (0.0, 0.005)
    """Scatter of linearised levels over exposure time: it holds that of the lamp."""

    covariance_left: Limits = (-0.5, 0.5)
    """Covariance of neighbours in flats after the brighter-fatter correction, over that without."""

    ghost: Limits = (-3e-5, 3e-5)
    """Ghost left by crosstalk, in parts of the light."""

    charge_left: Limits = (-3e-6, 3e-6)
    """Charge left behind the light per transfer, in parts of the light."""

    left_out: Limits = (0.0, 1e-3)
    """Part of the pixels that most frames show to be bad and that are no defects."""


class FrameVerification(NamedTuple):
    """What products leave in frames."""

    checks: tuple[FrameCheck, ...]
    """Every number of every frame."""

    verdicts: tuple[Verdict, ...]
    """Medians over frames with their limits; numbers without limits have none."""


class _Rule(NamedTuple):
    """Which limits a number has, and what of its values over frames counts."""

    product: str
    begins: str
    limits: Limits
    statistic: str = "median"


class VerifyFramesTask(Task[VerifyFramesConfig]):
    """Apply products to single frames (as LSST's cp_verify does) and compare what is left with what should be.

    A bias less the master is read noise; a dark less its current too; a flat over its master is photon noise without
    structure; pairs of flats show the gain of the curve and levels in proportion to the light; spots leave no ghosts in
    other amplifiers; flats leave no charge behind them; bad pixels are in the list of defects. What the mean of a few
    frames shares with each of them is allowed for.
    """

    def run(
        self, raws: Iterable[RawFrame], camera: Camera, products: Calibrations, flats: Mapping[str, Exposure]
    ) -> FrameVerification:
        """Verify the products of one detector.

        Parameters
        ----------
        raws : iterable of RawFrame
            Biases, darks, flats and spots of the detector in order of exposure, read once; other types are left out.
        camera : Camera
            Their camera.
        products : Calibrations
            Those that there are; its flat is not looked at.
        flats : mapping of str to Exposure
            Flats by physical filter.

        Returns
        -------
        FrameVerification
            Empty without frames.
        """
        run = _Run(self.config, camera, products, flats)
        for pair in equal_pairs(run.frame_by_frame(raws)):
            run.add_pair(pair)
        checks = tuple(run.checks())
        return FrameVerification(checks, tuple(self._verdicts(checks)))

    def _rules(self) -> tuple[_Rule, ...]:
        config = self.config
        levels = [
            _Rule(product, begins, limits)
            for product in ("bias", "dark")
            for begins, limits in (
                ("mean", config.mean), ("noise", config.noise), ("structure", config.structure)
            )
        ]  # fmt: skip
        return (
            *levels,
            _Rule("flat", "scatter", config.flat_scatter),
            _Rule("flat", "structure", config.flat_structure),
            _Rule("flat", "step", config.flat_step),
            _Rule("ptc", "gain", config.gain),
            _Rule("linearizer", "linearised", config.linearity, "scatter"),
            _Rule("brighter_fatter", "covariance", config.covariance_left),
            _Rule("crosstalk", "ghost left", config.ghost),
            _Rule("charge_transfer", "serial charge behind the light left", config.charge_left),
            _Rule("charge_transfer", "parallel charge behind the light left", config.charge_left),
            _Rule("defects", "bad pixels", config.left_out),
        )

    def _verdicts(self, checks: Sequence[FrameCheck]) -> Iterator[Verdict]:
        """Give one verdict per product, number and amplifier (or filter): that of the worst source or amplifier."""
        rules = self._rules()
        for (product, what, where), group in groupby(sorted(checks, key=_verdict_key), key=_verdict_key):
            rule = next((r for r in rules if r.product == product and what.startswith(r.begins)), None)
            if rule is None:
                continue
            parts = [list(part) for _, part in groupby(group, key=lambda c: (c.amplifier, c.source))]
            middle = 0.5 * sum(rule.limits) if rule.limits[0] < 0.0 else 0.0
            values = [_statistic(part, rule.statistic) for part in parts]
            away = [abs(value - middle) if isfinite(value) else np.inf for value in values]
            chosen = int(np.argmax(away))
            worst = max(parts[chosen], key=lambda c: abs(c.value - middle) if isfinite(c.value) else np.inf)
            names = ", ".join(name for name in (worst.frame, worst.amplifier, worst.source) if name and name != where)
            yield Verdict(product, what, where, values[chosen], *rule.limits, worst=f"{worst.value:.3g} in {names}",
                          frames=len({check.frame for part in parts for check in part}))  # fmt: skip


def _verdict_key(check: FrameCheck) -> tuple[str, str, str]:
    return check.product, check.what, check.physical_filter if check.product == "flat" else check.amplifier


def _statistic(checks: Sequence[FrameCheck], which: str) -> float:
    values = np.array([check.value for check in checks])
    values = values[np.isfinite(values)]
    if not values.size:
        return nan
    return float(np.sqrt(np.mean(values**2))) if which == "scatter" else float(np.median(values))


class _Run:
    """One detector: the frames pass by once, each check takes what it needs."""

    def __init__(
        self, config: VerifyFramesConfig, camera: Camera, products: Calibrations, flats: Mapping[str, Exposure]
    ):
        self._config, self._camera, self._products, self._flats = config, camera, products, flats
        self._wanted = {kind: self._spread(master) for kind, master in self._masters().items()}
        self._found: list[FrameCheck] = []
        self._odd = OddPixels(config.odd_pixels)
        self._detector: Detector | None = None
        self._pairs: PairChecks | None = None
        self._transfer: TransferChecks | None = None

    def _masters(self) -> dict[str, Exposure]:
        known = {"bias": self._products.bias, "dark": self._products.dark}
        named = {f"flat {name}": flat for name, flat in self._flats.items()}
        return {kind: master for kind, master in (known | named).items() if master is not None}

    def _spread(self, master: Exposure) -> frozenset[str]:
        """Return the names of some of the frames that a master was made of."""
        files = list(master.metadata.get("files", ()))
        count = min(self._config.most_frames, len(files))
        return frozenset(files[k] for k in np.unique(np.linspace(0, len(files) - 1, count).round().astype(int)))

    def frame_by_frame(self, raws: Iterable[RawFrame]) -> Iterator[RawFrame]:
        """Check single frames as they pass by.

        Parameters
        ----------
        raws : iterable of RawFrame
            Frames of one detector.

        Yields
        ------
        RawFrame
            Flats, for their pairs.
        """
        for raw in raws:
            if self._detector is None:
                self._begin(raw)
            self._found += self._single(raw)
            if raw.info.observation_type == "flat":
                yield raw

    def _begin(self, raw: RawFrame) -> None:
        detector = self._camera.detector(raw.detector_id)
        self._detector = detector
        self._pairs = PairChecks(detector, self._products, self._config.readout, self._config.pairs)
        if self._products.charge_transfer is not None:
            self._transfer = TransferChecks(detector, self._products, self._config.readout)

    def _single(self, raw: RawFrame) -> Iterator[FrameCheck]:
        kind, name = raw.info.observation_type, raw.info.file_name
        detector, products, readout = self._detector, self._products, self._config.readout
        assert detector is not None
        if kind == "test" and products.crosstalk is not None:
            yield from check_crosstalk(raw, detector, products, readout, self._config.ghosts)
        if name not in self._wanted.get(kind if kind != "flat" else f"flat {raw.info.physical_filter}", ()):
            return
        if kind == "bias":
            yield from check_bias(raw, detector, products, readout)
        elif kind == "dark":
            yield from check_dark(raw, detector, products, readout)
            self._odd.add_dark(self._charge(raw), raw.info.exposure_time_s)
        else:
            flat = self._flats[raw.info.physical_filter]
            yield from check_flat(raw, detector, products, flat, readout, self._config.levels)
            self._odd.add_flat(self._charge(raw))
        if self._transfer is not None and kind in ("bias", "flat"):
            self._transfer.add(raw)

    def _charge(self, raw: RawFrame) -> np.ndarray:
        """Return pixels [e]."""
        assert self._detector is not None
        electronics = electronics_of(self._detector, self._products.ptc, raw.info)
        undone = Calibrations(bias=self._products.bias)
        readout = ReadoutTask(self._config.readout)
        return readout.run(raw.array, self._detector, calibrations=undone, electronics=electronics).pixels

    def add_pair(self, pair: tuple[RawFrame, ...]) -> None:
        """Check two equal flats.

        Parameters
        ----------
        pair : tuple of RawFrame
            The flats.
        """
        assert self._pairs is not None
        if self._products.ptc is not None or self._products.linearizer is not None:
            self._pairs.add(pair)

    def checks(self) -> Iterator[FrameCheck]:
        """Return what all frames tell.

        Yields
        ------
        FrameCheck
            In the order in which they passed by, then pairs, trails and defects.
        """
        yield from self._found
        if self._detector is None or self._pairs is None:
            return
        yield from self._pairs.checks()
        if self._transfer is not None:
            yield from self._transfer.checks()
        if self._products.defects is not None:
            yield from self._odd.checks(self._products.defects, self._detector)
