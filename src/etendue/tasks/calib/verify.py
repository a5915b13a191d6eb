"""Judge calibration products: numbers with limits, and what each fails."""

from collections.abc import Iterator, Mapping

import numpy as np
from pydantic import Field

from etendue.camera.detector import Detector
from etendue.geom.box import Box
from etendue.image.brighter_fatter import BrighterFatterKernel, PixelBoundaries
from etendue.image.charge_transfer import ChargeTransfer
from etendue.image.crosstalk import Crosstalk
from etendue.image.defects import Defects
from etendue.image.exposure import Exposure
from etendue.image.linearizer import Linearizer
from etendue.image.ptc import Ptc
from etendue.tasks.calib.check_defects import single_pixels
from etendue.tasks.calib.verdict import Verdict
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.task import Task, TaskConfig


class VerifyCalibrationsConfig(TaskConfig):
    """Configuration of `VerifyCalibrationsTask`: limits beyond which a product is not certified."""

    finite: float = Field(0.98, ge=0.0, le=1.0)
    """Least part of a map's pixels with a value."""

    bias_noise_adu: float = Field(5.0, gt=0.0)
    """Largest median error of a bias [ADU]."""

    dark_rate_e_s: tuple[float, float] = (-0.05, 2.0)
    """Median dark current [e/s]."""

    hot_fraction: float = Field(0.02, ge=0.0, le=1.0)
    """Largest part of pixels above the rate of hot ones."""

    hot_rate_e_s: float = Field(2.0, gt=0.0)
    """Rate of hot pixels above the median [e/s]."""

    flat_noise: float = Field(0.01, gt=0.0)
    """Largest median relative error of a flat."""

    flat_range: tuple[float, float] = (0.5, 1.5)
    """Response of ordinary pixels,"""

    flat_outside: float = Field(0.15, ge=0.0, le=1.0)
    """and the largest part outside: vignetted corners are."""

    shutter_s: float = Field(2.0, gt=0.0)
    """Largest time that a pixel is open beyond the nominal one [s],"""

    shutter_error: float = Field(0.3, gt=0.0)
    """and largest error in parts of it."""

    gain: tuple[float, float] = (0.1, 30.0)
    """Gain [e/ADU]."""

    gain_error: float = Field(0.02, gt=0.0)
    """Largest relative error of a gain."""

    gain_change: float = Field(0.5, gt=0.0)
    """Largest relative difference to the gain that the camera's description gives."""

    read_noise_e: tuple[float, float] = (0.1, 50.0)
    """Read noise [e]."""

    linearity_residual: float = Field(2e-3, gt=0.0)
    """Largest relative residual of linearised levels."""

    linearity_largest: float = Field(0.1, gt=0.0)
    """Largest relative correction."""

    crosstalk: float = Field(1e-2, gt=0.0)
    """Largest coefficient."""

    inefficiency: float = Field(1e-4, gt=0.0)
    """Largest charge-transfer inefficiency."""

    trail_chi2: float = Field(2.0, gt=0.0)
    """Largest chi2 per degree of freedom of the trails behind flats: beyond, their model does not hold."""

    brighter_fatter_area: tuple[float, float] = (-2e-5, 0.0)
    """Relative change of a pixel's own area per electron in it [1/e]."""

    defects: float = Field(0.05, ge=0.0, le=1.0)
    """Largest part of defective pixels,"""

    single: float = Field(0.02, ge=0.0, le=1.0)
    """and of those without a defective neighbour: more of them are noise taken for defects."""


class VerifyCalibrationsTask(Task[VerifyCalibrationsConfig]):
    """Compare what calibration products say with limits, each product by itself (as LSST's cp_verify does)."""

    def run(self, products: Calibrations, detector: Detector, flats: Mapping[str, Exposure]) -> tuple[Verdict, ...]:
        """Judge the products of one detector.

        Parameters
        ----------
        products : Calibrations
            Those that there are; its flat is not looked at.
        detector : Detector
            The detector.
        flats : mapping of str to Exposure
            Flats by physical filter.

        Returns
        -------
        tuple of Verdict
            Empty without products.
        """
        found: list[Verdict] = []
        for kind, judge in (
            ("bias", self._bias), ("dark", self._dark), ("shutter", self._shutter), ("linearizer", self._linearizer),
            ("crosstalk", self._crosstalk), ("charge_transfer", self._transfer), ("brighter_fatter", self._fatter),
        ):  # fmt: skip
            product = getattr(products, kind)
            if product is not None:
                found += judge(product)
        for name, flat in sorted(flats.items()):
            found += self._flat(flat, name)
        if products.ptc is not None:
            found += self._ptc(products.ptc, detector)
        if products.defects is not None:
            found += self._defects(products.defects, detector.bbox)
        return tuple(found)

    def _finite(self, product: Exposure, kind: str, where: str = "") -> Verdict:
        return Verdict(kind, "pixels with a value", where, float(np.isfinite(product.image.array).mean()),
                       self.config.finite, 1.0)  # fmt: skip

    def _bias(self, bias: Exposure) -> Iterator[Verdict]:
        yield self._finite(bias, "bias")
        noise = float(np.sqrt(np.nanmedian(bias.variance.array)))
        yield Verdict("bias", "median error [ADU]", "", noise, 0.0, self.config.bias_noise_adu)

    def _dark(self, dark: Exposure) -> Iterator[Verdict]:
        config, rate = self.config, dark.image.array
        yield self._finite(dark, "dark")
        middle = float(np.nanmedian(rate))
        yield Verdict("dark", "median rate [e/s]", "", middle, *config.dark_rate_e_s)
        with np.errstate(invalid="ignore"):
            hot = float((rate > middle + config.hot_rate_e_s).mean())
        yield Verdict("dark", "hot pixels", "", hot, 0.0, config.hot_fraction)

    def _shutter(self, shutter: Exposure) -> Iterator[Verdict]:
        yield self._finite(shutter, "shutter")
        largest = float(np.nanmax(np.abs(shutter.image.array)))
        error = float(np.sqrt(np.nanmedian(shutter.variance.array)))
        yield Verdict("shutter", "largest time [s]", "", largest, 0.0, self.config.shutter_s)
        yield Verdict("shutter", "median error over largest time", "", error / max(largest, 1e-9), 0.0,
                      self.config.shutter_error)  # fmt: skip

    def _flat(self, flat: Exposure, name: str) -> Iterator[Verdict]:
        config, response = self.config, flat.image.array
        yield self._finite(flat, "flat", name)
        with np.errstate(invalid="ignore", divide="ignore"):
            noise = float(np.nanmedian(np.sqrt(flat.variance.array) / response))
            low, high = config.flat_range
            outside = float(((response < low) | (response > high)).mean())
        yield Verdict("flat", "median relative error", name, noise, 0.0, config.flat_noise)
        yield Verdict("flat", f"pixels outside {low} to {high}", name, outside, 0.0, config.flat_outside)

    def _ptc(self, ptc: Ptc, detector: Detector) -> Iterator[Verdict]:
        config = self.config
        for amplifier in detector.amplifiers:
            entry, name = ptc[amplifier.name], amplifier.name
            yield Verdict("ptc", "gain [e/ADU]", name, entry.gain, *config.gain)
            yield Verdict(
                "ptc", "relative error of the gain", name, entry.gain_err / entry.gain, 0.0, config.gain_error
            )
            yield Verdict("ptc", "read noise [e]", name, entry.read_noise, *config.read_noise_e)
            if "gain" in amplifier.model_fields_set:
                change = entry.gain / amplifier.gain - 1.0
                yield Verdict(
                    "ptc", "gain over the camera's - 1", name, change, -config.gain_change, config.gain_change
                )

    def _linearizer(self, linearizer: Linearizer) -> Iterator[Verdict]:
        for entry in linearizer.amplifiers:
            largest = float(np.abs(entry.table()[0] - 1.0).max())
            yield Verdict("linearizer", "largest correction", entry.name, largest, 0.0, self.config.linearity_largest)
            yield Verdict("linearizer", "residual", entry.name, entry.residual, 0.0, self.config.linearity_residual)

    def _crosstalk(self, crosstalk: Crosstalk) -> Iterator[Verdict]:
        largest = float(np.abs(crosstalk.own.linear).max(initial=0.0))
        yield Verdict("crosstalk", "largest coefficient", "", largest, 0.0, self.config.crosstalk)

    def _transfer(self, transfer: ChargeTransfer) -> Iterator[Verdict]:
        for entry in transfer.amplifiers:
            for way, loss in (("serial", entry.serial), ("parallel", entry.parallel)):
                if loss is not None:
                    yield Verdict("charge_transfer", f"{way} inefficiency", entry.name, loss.inefficiency, 0.0,
                                  self.config.inefficiency)  # fmt: skip
                    if np.isfinite(loss.chi2):  # losses that were not fitted have none
                        yield Verdict("charge_transfer", f"{way} chi2 of the trails", entry.name, loss.chi2, 0.0,
                                      self.config.trail_chi2)  # fmt: skip

    def _fatter(self, product: PixelBoundaries | BrighterFatterKernel) -> Iterator[Verdict]:
        area = product.boundaries().area()
        yield Verdict("brighter_fatter", "own area [1/e]", "", float(area[0, 0]), *self.config.brighter_fatter_area)
        nearest = float(min(area[0, 1], area[1, 0]) / abs(area[0, 0]))
        yield Verdict("brighter_fatter", "least area of a neighbour over own", "", nearest, 0.0, 0.5)

    def _defects(self, defects: Defects, box: Box) -> Iterator[Verdict]:
        yield Verdict("defects", "defective pixels", "", float(defects.mask(box).mean()), 0.0, self.config.defects)
        yield Verdict("defects", "pixels defective alone", "", single_pixels(defects, box), 0.0, self.config.single)
