"""Photograph the head of a report and its section of images with headless Chromium, for the documentation.

python tools/make_report_head.py REPORT.html OUT.png

The pictures in docs/images are of the reports of ``make demo`` and of the real night.
"""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from etendue.qa.image_panel import compact_png

WIDTH, TALLEST, SHOWN = 1100, 4000, 800  # of the window and of the picture [px]
ONLY_IMAGES = "<style>nav, section:not(#images), footer { display: none } .layout { display: block }</style></head>"


def photograph(report: Path) -> Picture.Image:
    """Return the page as a browser shows it, without what lies below its last section."""
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder, "page.html"), Path(folder, "shot.png")
        page.write_text(report.read_text().replace("</head>", ONLY_IMAGES, 1))
        command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        size = f"--window-size={WIDTH},{TALLEST}"
        subprocess.run([*command, size, f"--screenshot={shot}", page.as_uri()], check=True, capture_output=True)
        whole = Picture.open(io.BytesIO(shot.read_bytes())).convert("RGB")
    rows = np.flatnonzero(np.ptp(np.asarray(whole), axis=1).any(axis=1))
    return whole.crop((0, 0, WIDTH, int(rows[-1]) + 16))


def main() -> int:
    """Write the picture of a report."""
    whole = photograph(Path(sys.argv[1]).resolve())
    small = whole.resize((SHOWN, round(whole.height * SHOWN / WIDTH)), Picture.Resampling.LANCZOS)
    Path(sys.argv[2]).write_bytes(compact_png(small, colours=128))
    return 0


if __name__ == "__main__":
    sys.exit(main())
