"""Draw the pictures of the simulator's page: previews of the shipped surveys, and part of a raw frame.

python tools/make_simulator_pictures.py docs/images/simulator [NAME ...]; galaxies is one of the names
"""

import io
import sys
import tempfile
from pathlib import Path

import numpy as np
from galaxy_picture import galaxy_picture
from PIL import Image as Picture
from PIL.Image import Resampling

from etendue.app.survey_preview import write_preview
from etendue.qa.image_panel import compact_png
from etendue.qa.thumbnail import thumbnail
from etendue.simulate.surveys.frames import SimulatedFrame, science_frame
from etendue.simulate.surveys.presets import load_survey
from etendue.simulate.surveys.survey import Survey

# Pictures of a preview, and what the page calls them.
WANTED = {
    "demo": {"focal-plane": "demo", "movers": "movers", "psf": "psf"},
    "dr1-mini": {"focal-plane": "dr1-mini", "counts": "counts", "clustering": "clustering"},
    "ap-year": {"light-curves": "light-curves", "cadence": "footprint"},
    "crowded": {"focal-plane": "crowded"},
    "wavefront": {"focal-plane": "wavefront"},
    "calib": {"photon-transfer": "photon-transfer"},
    "mops": {"movers": "mops"},
}
COLOURS, SEED, SIDE, WIDTH, HEIGHT = 96, 1, 480, 480, 360
MOSTLY = 0.9  # of the pixels of a focal plane in one band are grey


def save(data: bytes, path: Path, *, side: int | None = None) -> None:
    """Write a small version of a picture; one with a longest side is shrunk to it, and grey if most of it is."""
    picture = Picture.open(io.BytesIO(data))
    if side is not None:
        scale = min(side / max(picture.size), 1.0)
        picture = picture.resize((round(scale * picture.width), round(scale * picture.height)), Resampling.LANCZOS)
        levels = np.asarray(picture.convert("RGB"))
        if (levels.min(axis=-1) == levels.max(axis=-1)).mean() > MOSTLY:
            picture = picture.convert("L")
    small = compact_png(picture if picture.mode == "L" else picture.convert("RGB"), colours=COLOURS)
    path.write_bytes(small)
    print(f"{path.name}: {len(small) / 1024:.0f} KB")


def streaked(survey: Survey) -> SimulatedFrame:
    """Return the frame in g with the longest streak."""
    best, most = None, -1.0
    for exposure in survey.exposures:
        for detector in survey.detectors if exposure.band == "g" else ():
            frame = science_frame(survey, exposure, detector)
            assert frame.scene is not None
            length = 0.0 if frame.scene.streaks is None else float(np.sum(frame.scene.streaks > 30.0))
            if length > most:
                best, most = frame, length
    assert best is not None
    return best


def raw_part(survey: Survey) -> bytes:
    """Draw part of a raw frame around the middle of a streak."""
    frame = streaked(survey)
    assert frame.scene is not None
    detector = survey.camera.detector(frame.raw.detector_id)
    pixels = detector.trim(frame.raw.array).astype(np.float32)
    where = np.zeros(pixels.shape, bool) if frame.scene.streaks is None else frame.scene.streaks > 30.0
    y, x = (int(np.median(axis)) for axis in np.nonzero(where)) if where.any() else (HEIGHT, WIDTH)
    bottom = min(max(y - HEIGHT // 2, 0), pixels.shape[0] - HEIGHT)
    left = min(max(x - WIDTH // 2, 0), pixels.shape[1] - WIDTH)
    part = pixels[bottom : bottom + HEIGHT, left : left + WIDTH]
    level, spread = float(np.median(part)), 1.4826 * float(np.median(np.abs(part - np.median(part))))
    return thumbnail(part, size=WIDTH, linear=(level - 3.0 * spread, level + 12.0 * spread))


def main() -> int:
    """Draw all pictures into a folder."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or [*WANTED, "galaxies"]:
        if name == "galaxies":
            save(galaxy_picture(), folder / "galaxies.png")
            continue
        survey = Survey.plan(load_survey(name), SEED)
        with tempfile.TemporaryDirectory() as scratch:
            for path in write_preview(survey, Path(scratch), names=WANTED[name]):
                side = SIDE if path.stem == "focal-plane" else None
                save(path.read_bytes(), folder / f"{WANTED[name][path.stem]}.png", side=side)
        if name == "demo":
            save(raw_part(survey), folder / "raw.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
