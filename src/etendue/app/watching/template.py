"""Templates that users give as FITS files."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from etendue.camera.camera import Camera
from etendue.camera.raw import read_pixels
from etendue.errors import AlgorithmError, InputError
from etendue.geom.wcs_header import read_wcs
from etendue.image.exposure import Exposure
from etendue.image.fits_exposure import read_exposure
from etendue.image.image import Image
from etendue.middleware.repository import Repository
from etendue.tasks.diffim.external_template import ExternalTemplateTask, unmeasured

_TYPE, _DIMENSIONS = "external_template", ("instrument", "band")


@dataclass(frozen=True)
class GivenTemplate:
    """A template as the user names it: ``BAND=IMAGE.fits``, or ``IMAGE.fits`` for every band.

    Parameters
    ----------
    path : Path
        FITS image.
    band : str
        Its band; empty for all.
    """

    path: Path
    band: str = ""

    @classmethod
    def parse(cls, text: str) -> "GivenTemplate":
        """Read the command line's form.

        Parameters
        ----------
        text : str
            ``r=deep.fits`` or ``deep.fits``.

        Returns
        -------
        GivenTemplate
        """
        band, equals, path = text.partition("=")
        return cls(Path(path), band) if equals and not Path(text).exists() else cls(Path(text))

    def load(self) -> Exposure:
        """Read the image and measure sky, noise and PSF on it.

        Returns
        -------
        Exposure

        Raises
        ------
        InputError
            If it cannot be read, has no WCS, or too few stars for a PSF.
        """
        header, pixels = read_pixels(self.path)
        if header.get("ETTYPE") == "exposure":
            own: Exposure = read_exposure(self.path)
            return own.replace(visit_info=None)
        try:
            wcs = read_wcs(header)
        except InputError as error:
            raise InputError(f"no template without WCS: {error}", source=self.path,
                             remedy="solve it first: etendue solve --write DIR") from None  # fmt: skip
        image = Image(np.ascontiguousarray(pixels, np.float32))
        exposure = unmeasured(image, wcs=wcs)
        saturation = _number(header, "SATURATE")
        if saturation is not None:
            exposure = exposure.replace(mask=exposure.mask.with_plane("SAT", image.array >= saturation))
        try:
            return ExternalTemplateTask().run(image=image, exposure=exposure)
        except AlgorithmError as error:
            raise InputError(f"cannot be a template: {error}", source=self.path,
                             remedy="give a deep image of the field with stars") from error  # fmt: skip


class Templates:
    """All templates of a watch, read and checked before anything is done.

    Parameters
    ----------
    given : sequence of GivenTemplate
        What the user named; of two for one band the last counts.

    Raises
    ------
    InputError
        If a file cannot be used.
    """

    def __init__(self, given: Sequence[GivenTemplate]):
        self._of_band = {template.band: template.load() for template in given}
        self._digest = _digest(given)

    def __bool__(self) -> bool:
        return bool(self._of_band)

    def register(self, home: Repository, camera: Camera, bands: Iterable[str]) -> str:
        """Put the templates of some bands into a repository; doing it again changes nothing.

        Parameters
        ----------
        home : Repository
            Writeable.
        camera : Camera
            Its filters tell which bands there are.
        bands : iterable of str
            Bands that are observed.

        Returns
        -------
        str
            RUN that holds them; another for other files.

        Raises
        ------
        InputError
            If a template is for a band that the camera has not.
        """
        existing = {entry.band for entry in camera.filters}
        for band in set(self._of_band) - existing - {""}:
            raise InputError("the camera has no such band", source="--template", value=band,
                             remedy=f"its bands are {', '.join(sorted(existing))}")  # fmt: skip
        run = f"{camera.name}/templates/{self._digest}"
        home.register_dataset_type(_TYPE, _DIMENSIONS, "EtendueExposure")
        refs = home.query(_TYPE, collections=run) if home.has_collection(run) else ()
        known = {str(ref.dataId["band"]) for ref in refs}
        for band in sorted(set(bands) - known):
            exposure = self._of_band.get(band, self._of_band.get(""))
            if exposure is not None:
                home.put(exposure.replace(band=band), _TYPE, {"instrument": camera.name, "band": band}, run=run)
        with home.writing(run=run):  # it exists even where no band has a template
            home.butler.registry.refresh()
        return run


def _digest(given: Sequence[GivenTemplate]) -> str:
    found = hashlib.blake2b(digest_size=8)
    for template in sorted(given, key=lambda one: one.band):
        found.update(f"{template.band} ".encode())
        found.update(template.path.read_bytes())
    return found.hexdigest()


def _number(header: dict[str, Any], key: str) -> float | None:
    try:
        value = float(str(header[key]))
    except (KeyError, ValueError):
        return None
    return value if np.isfinite(value) else None
