"""Reading what ingest needs of a raw file: headers, outlines on the sky, a checksum; in any process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from etendue.camera.camera import Camera
from etendue.camera.fits_sums import check_sums
from etendue.camera.frame_file import FrameHeader, frames_in
from etendue.camera.frame_override import FrameOverride
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.translate import identify_frame, translate
from etendue.errors import InputError
from etendue.middleware.ingest.digest import digest_of
from etendue.middleware.ingest.manifest import Manifest
from etendue.middleware.ingest.stamp import Stamp
from etendue.middleware.sky_outline import SkyOutline, outline_of


@dataclass(frozen=True, slots=True, eq=False)
class FoundFrame:
    """One frame of a raw file.

    Parameters
    ----------
    path : str
        The file.
    info : ObservationInfo
        Its translated header, without the WCS.
    outline : SkyOutline or None
        Where it lies on the sky, of science frames.
    """

    path: str
    info: ObservationInfo
    outline: SkyOutline | None = None

    @property
    def key(self) -> tuple[int, int]:
        """Exposure and detector."""
        return self.info.exposure_id, self.info.detector_id


@dataclass(frozen=True, slots=True, eq=False)
class FoundFile:
    """A raw file, looked at.

    Parameters
    ----------
    path : str
        As given.
    found : tuple of (FoundFrame or str)
        Its frames in their order; in place of one that cannot be read, or of all of them, one line that says why.
    stamp : Stamp or None
        As it was before it was read; None for a file that cannot be looked at.
    checksum : str
        BLAKE2b of its bytes, as Rubin's datastores record it; empty where none is wanted.
    """

    path: str
    found: tuple[FoundFrame | str, ...]
    stamp: Stamp | None = None
    checksum: str = ""

    @property
    def frames(self) -> tuple[FoundFrame, ...]:
        """Those that could be read."""
        return tuple(frame for frame in self.found if isinstance(frame, FoundFrame))


@dataclass(frozen=True)
class FileReader:
    """Reads raw files of one camera; it can be sent to other processes.

    Parameters
    ----------
    camera : Camera
        Whose translation applies.
    padding_px : int
        Outlines grow by this much on every side [px].
    override_of : callable, optional
        From file name, exposure and detector to what people say instead of the header.
    checksums : bool
        Whether to read whole files for their checksums.
    manifest : Manifest, optional
        Checksums that the files should have.
    verify : bool
        Whether to compare files with their CHECKSUM and DATASUM cards.
    """

    camera: Camera
    padding_px: int
    override_of: Callable[[str, int, int], FrameOverride | None] | None = None
    checksums: bool = False
    manifest: Manifest | None = None
    verify: bool = False

    def read_many(self, paths: Sequence[str]) -> list[FoundFile]:
        """Read some files, as `read` does."""
        return [self.read(path) for path in paths]

    def read(self, path: str) -> FoundFile:
        """Read a file; what is wrong with it is told, not raised.

        Parameters
        ----------
        path : str
            The file.

        Returns
        -------
        FoundFile
        """
        try:
            stamp = Stamp.of(Path(path)) if Path(path).exists() else None
            headers = frames_in(path, self.camera)
            checksum = self._checksum(path)
        except (InputError, OSError) as error:
            return FoundFile(path, (str(error),))
        return FoundFile(path, tuple(map(self._look_at, headers)), stamp, checksum)

    def _checksum(self, path: str) -> str:
        if self.manifest is not None:
            self.manifest.check(path)
        if self.verify:
            check_sums(Path(path))
        return digest_of(path) if self.checksums else ""

    def _look_at(self, header: FrameHeader) -> FoundFrame | str:
        try:
            return self._frame(header)
        except InputError as error:
            return str(error)

    def _frame(self, header: FrameHeader) -> FoundFrame:
        said = None
        if self.override_of is not None:
            key = identify_frame(header.header, self.camera, header.path, snap=header.snap)
            said = self.override_of(header.path.name, *key)
        info = translate(header.header, self.camera, header.path, said, snap=header.snap)
        self.camera.detector(info.detector_id).check_shape(header.shape, header.path)
        outline = outline_of(self.camera, info, self.padding_px) if info.observation_type == "science" else None
        return FoundFrame(str(header.path), replace(info, wcs=None), outline)
