"""The frames that a raw file holds: of one detector or many, in an extension each or one per amplifier, in cubes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.fits_images import FitsImages, ImageHdu, fits_images, read_header, read_pixels
from etendue.camera.header_reader import HeaderReader
from etendue.camera.translate import find_detector, identify_frame
from etendue.errors import InputError
from etendue.geom.box import Box

Piece = tuple[ImageHdu, Box]


@dataclass(frozen=True, slots=True, eq=False)
class FrameHeader:
    """One frame of a raw file, without its pixels.

    Parameters
    ----------
    path : Path
        The file.
    header : dict
        Primary cards, and those of the extension.
    shape : tuple of int
        Rows and columns of the raw frame.
    detector : int or None
        Its detector, where the file's layout told it.
    snap : int
        Plane of a cube of snaps.
    """

    path: Path
    header: Mapping[str, Any]
    shape: tuple[int, ...]
    detector: int | None = None
    snap: int = 0
    _images: FitsImages | None = None
    _pieces: tuple[Piece, ...] = ()

    def pixels(self) -> NDArray:
        """Return the pixels of the frame, put together from its extensions.

        Returns
        -------
        ndarray, shape of `shape`
            Pixels as stored; those that no extension holds are 0.

        Raises
        ------
        InputError
            If they cannot be read.
        """
        if self._images is None:
            return read_pixels(self.path)[1]
        planes = [self._images.pixels(hdu).reshape(-1, *hdu.shape[-2:])[self.snap] for hdu, _ in self._pieces]
        if len(planes) == 1 and planes[0].shape == tuple(self.shape):
            return planes[0]
        whole = np.zeros(self.shape, dtype=np.result_type(*planes))
        for plane, (_, box) in zip(planes, self._pieces, strict=True):
            whole[box.slices_in(Box.from_shape(self.shape))] = plane
        return whole


def frames_in(path: str | Path, camera: Camera) -> tuple[FrameHeader, ...]:
    """Return the frames of a raw file; its pixels are not read.

    Parameters
    ----------
    path : str or Path
        FITS file.
    camera : Camera
        The camera that wrote it.

    Returns
    -------
    tuple of FrameHeader
        At least one.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no frame of this camera.
    """
    path = Path(path)
    if is_plain(camera):
        header = read_header(path)
        return (FrameHeader(path, header, (header["NAXIS2"], header["NAXIS1"])),)
    frames = tuple(_frames(fits_images(path), camera))
    if not frames:
        raise InputError(f"holds no frame of a detector of camera {camera.name}", source=path,
                         remedy="check 'files' and 'header: detector' in the camera YAML")  # fmt: skip
    return frames


def frame_in(
    path: str | Path, camera: Camera, *, detector: int | None = None, exposure: int | None = None
) -> FrameHeader:
    """Return one frame of a raw file.

    Parameters
    ----------
    path : str or Path
        FITS file.
    camera : Camera
        The camera that wrote it.
    detector, exposure : int, optional
        Ids of the frame that is wanted; they choose between the frames of a file that holds several.

    Returns
    -------
    FrameHeader

    Raises
    ------
    InputError
        If the file cannot be read, or holds no such frame, or several.
    """
    if is_plain(camera):
        return frames_in(path, camera)[0]
    files = camera.files

    def is_wanted(frame: FrameHeader) -> bool:
        if detector is not None and frame.detector != detector:
            return False
        if files.cube is None or exposure is None:
            return True
        return identify_frame(frame.header, camera, frame.path, snap=frame.snap)[0] == exposure

    decided = (files.detectors == "one" or detector is not None) and (files.cube is None or exposure is not None)
    matching = (frame for frame in _frames(fits_images(Path(path)), camera) if is_wanted(frame))
    found = list(islice(matching, 1 if decided else None))
    if len(found) != 1:
        what = f"{len(found)} frames" if found else "no such frame"
        chosen = f"detector {detector}, exposure {exposure}" if not found else None
        raise InputError(f"holds {what} of camera {camera.name}", source=path, value=chosen,
                         remedy="say which detector" if found else "check the file")  # fmt: skip
    return found[0]


def is_plain(camera: Camera) -> bool:
    """Tell whether every file of a camera holds one frame, in its first image.

    Parameters
    ----------
    camera : Camera
        The camera.

    Returns
    -------
    bool
    """
    spec = camera.files
    return spec.detectors == "one" and spec.cube is None and not any(d.pieces for d in camera.detectors)


def _frames(images: FitsImages, camera: Camera) -> Iterator[FrameHeader]:
    """Give the frames of a file whose layout is not plain."""
    if not images.images:
        raise InputError("holds no image", source=images.path, remedy="give raw frames")
    if camera.files.detectors == "one":
        header = {**images.primary, **images.images[0].header}
        detector = _detector_of(header, camera, images.path)
        hdus = images.images if detector.pieces else images.images[:1]
        yield from _of_detector(images, detector, header, hdus, camera)
        return
    groups: dict[int, tuple[Detector, dict[str, Any], list[ImageHdu]]] = {}
    for hdu in images.images:
        header = {**images.primary, **hdu.header}
        try:
            detector = _detector_of(header, camera, images.path)
        except InputError:  # a guider, say
            continue
        if detector.pieces:
            groups.setdefault(detector.id, (detector, header, []))[2].append(hdu)
        else:
            yield from _of_detector(images, detector, header, (hdu,), camera)
    for detector, header, members in groups.values():
        yield from _of_detector(images, detector, header, tuple(members), camera)


def _of_detector(
    images: FitsImages, detector: Detector, header: Mapping[str, Any], hdus: tuple[ImageHdu, ...], camera: Camera
) -> Iterator[FrameHeader]:
    """Give the frames of one detector: one, or the snaps of a cube."""
    pieces = tuple((_extension(images, hdus, name), box) for name, box in detector.pieces)
    for hdu, box in pieces:
        if hdu.shape[-2:] != box.shape:
            raise InputError(f"extension {hdu.name or hdu.number} has the wrong size for detector {detector.name}",
                             source=images.path, value=hdu.shape[-2:],
                             remedy=f"expected {box.shape} (ny, nx); correct the camera YAML")  # fmt: skip
    shape = detector.raw_shape if pieces else hdus[0].shape[-2:]
    pieces = pieces or ((hdus[0], Box.from_shape(shape)),)
    counts = {_planes(hdu, images, camera) for hdu, _ in pieces}
    if len(counts) > 1:
        raise InputError("its extensions hold different numbers of snaps", source=images.path, value=sorted(counts))
    for snap in range(counts.pop()):
        yield FrameHeader(images.path, header, shape, detector.id, snap, images, pieces)


def _planes(hdu: ImageHdu, images: FitsImages, camera: Camera) -> int:
    """Return the number of planes of an image, refusing what the camera does not describe."""
    planes = int(np.prod(hdu.shape[:-2], dtype=int))
    most = 1 if camera.files.cube is None else camera.files.cube.snaps
    if planes > most:
        raise InputError(f"holds a cube of {planes} planes, the camera has at most {most}", source=images.path,
                         remedy="describe them as 'files: cube: {snaps: N}' in the camera YAML")  # fmt: skip
    return planes


def _extension(images: FitsImages, hdus: tuple[ImageHdu, ...], wanted: str | int) -> ImageHdu:
    for hdu in images.images if isinstance(wanted, int) else hdus:
        if wanted == hdu.number or str(wanted).lower() == hdu.name.lower():
            return hdu
    known = ", ".join(hdu.name or str(hdu.number) for hdu in hdus)
    raise InputError("lacks an extension of an amplifier", source=images.path, value=wanted, remedy=f"it has {known}")


def _detector_of(header: Mapping[str, Any], camera: Camera, path: Path) -> Detector:
    return find_detector(HeaderReader(header, camera.header, path), camera)
