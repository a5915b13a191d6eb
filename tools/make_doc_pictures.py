"""Draw one small picture of every step of a processed repository, for the documentation.

    python tools/make_doc_pictures.py REPOSITORY OUTDIR

All cut-outs show one visit around the most certain mover in the middle of its track.
"""

import io
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image as Picture

from etendue.alerts.decode import decode_alert
from etendue.app.report import movers, variables
from etendue.app.report.reader import Reader
from etendue.geom.box import Box, Interval
from etendue.image.exposure import Exposure
from etendue.middleware.repository import Repository
from etendue.qa.image_panel import PLANE_COLOURS, compact_png, image_panel, linear_levels
from etendue.qa.light_curve_plot import LightCurve, light_curves_plot, tracks_plot
from etendue.qa.psf_plot import psf_grid_plot
from etendue.qa.repeatability import star_statistics
from etendue.qa.residuals import star_residuals
from etendue.qa.star_plots import repeatability_plot, residual_map
from etendue.qa.thumbnail import stamp_strip, stretch, thumbnail
from etendue.qa.variability import usable_rows
from etendue.table.table import Table

SIDE, HALF_STAMP, STAMPS, MOVERS = 300, 11, 9, 5


class Night:
    """A repository, and the visit and area that its pictures show."""

    def __init__(self, repository: str):
        self.reader = Reader(Repository.open(repository, writeable=False))
        self.movers = movers.gather(self.reader)["movers"]
        track = self.track(self.movers[0])
        middle = len(track) // 2
        self.data_id = {"visit": int(track["visit"][middle]), "detector": int(track["detector"][middle])}
        self.mover_x, self.mover_y = float(track["x"][middle]), float(track["y"][middle])

    def track(self, mover: dict[str, Any]) -> Table:
        """Return the detections of a mover in the order of time."""
        members = self.reader.table("tracklet_source")
        assert members is not None
        return members.take(np.flatnonzero(members["trackletId"] == int(mover["trackletId"]))).sort_by("mjd_tai")

    def here(self, name: str) -> Any:
        """Return a product of the chosen visit."""
        return self.reader.get(self.ref(name, self.data_id))

    def ref(self, name: str, wanted: dict[str, int]) -> Any:
        """Return the product of a type with a data ID."""
        refs = self.reader.refs(name)
        return next(r for r in refs if all(int(r.dataId[key]) == value for key, value in wanted.items()))

    @cached_property
    def visit_image(self) -> Exposure:
        """The chosen visit."""
        image: Exposure = self.here("visit_image")
        return image

    @cached_property
    def area(self) -> Box:
        """The area around the mover, moved to where one image and one patch hold all of it."""
        whole, (x, y) = self.visit_image.bbox, (self.mover_x, self.mover_y)
        wcs, patch = self.reader.get(self.patch, "wcs"), self.reader.get(self.patch, "bbox")
        wanted = self._sky_box(self.patch, x, y)
        moved = _fitted(wanted, patch)
        ra, dec = wcs.pixel_to_sky(x=moved.x.center, y=moved.y.center)
        assert self.visit_image.wcs is not None
        x, y = (float(np.squeeze(axis)) for axis in self.visit_image.wcs.sky_to_pixel(ra_deg=ra, dec_deg=dec))
        return _fitted(Box.around(x=x, y=y, width=SIDE), whole)

    def _sky_box(self, ref: Any, x: float, y: float) -> Box:
        """Return the square around a pixel of the visit on the grid of a warp or coadd."""
        assert self.visit_image.wcs is not None
        ra, dec = self.visit_image.wcs.pixel_to_sky(x=x, y=y)
        px, py = self.reader.get(ref, "wcs").sky_to_pixel(ra_deg=ra, dec_deg=dec)
        return Box.around(x=float(np.squeeze(px)), y=float(np.squeeze(py)), width=SIDE)

    @cached_property
    def patch(self) -> Any:
        """The deep coadd, of the visit's band, that holds most of the mover's surroundings."""
        refs = [r for r in self.reader.refs("deep_coadd") if str(r.dataId["band"]) == self.visit_image.band]

        def held(ref: Any) -> int:
            box = self._sky_box(ref, self.mover_x, self.mover_y)
            return box.intersection(self.reader.get(ref, "bbox")).area

        return max(refs, key=held)

    def on_sky_grid(self, name: str) -> Exposure:
        """Return the same area of the warp or coadd."""
        wanted = {key: int(self.patch.dataId[key]) for key in ("tract", "patch")}
        if name == "direct_warp":
            wanted["visit"] = self.data_id["visit"]
        same = [r for r in self.reader.refs(name) if all(int(r.dataId[key]) == value for key, value in wanted.items())]
        ref = next(r for r in same if str(r.dataId["band"]) == self.visit_image.band)
        box = _fitted(self._sky_box(ref, self.area.x.center, self.area.y.center), self.reader.get(ref, "bbox"))
        exposure: Exposure = self.reader.get(ref, box=box)
        return exposure

    def notes(self, title: str, *more: str) -> list[str]:
        """Return the lines beside a picture."""
        return [title, f"visit {self.data_id['visit'] % 100000}", f"detector {self.data_id['detector']}", "", *more, ""]


def _fitted(box: Box, whole: Box) -> Box:
    """Return a box moved to lie inside another."""

    def shift(part: Interval, limits: Interval) -> int:
        return min(max(part.start, limits.start), limits.stop - part.size) - part.start

    return box.shifted(dx=shift(box.x, whole.x), dy=shift(box.y, whole.y))


def coloured(exposure: Exposure, notes: Sequence[str], circles: Sequence[tuple[NDArray, NDArray]] = ()) -> bytes:
    """Return a panel of a visit or coadd with its masks."""
    planes = {name: exposure.mask.any_of(name) for name in PLANE_COLOURS}
    own = [(x - exposure.bbox.x.start, y - exposure.bbox.y.start) for x, y in circles]
    return image_panel(stretch(exposure.image.array), planes=planes, circles=own, notes=notes)


def inside(table: Table, area: Box, where: NDArray | bool = True) -> tuple[NDArray, NDArray]:
    """Return the pixel positions of the rows that lie in an area."""
    x, y = np.asarray(table["x"], float), np.asarray(table["y"], float)
    keep = area.contains(x=x, y=y) & where
    return x[keep], y[keep]


def calibration_frames(night: Night) -> Iterator[tuple[str, bytes]]:
    """Draw the raw frame and its calibrations, whole."""
    reader, detector = night.reader, night.data_id["detector"]
    exposure_id = night.data_id["visit"]
    raw = reader.get(night.ref("raw", {"exposure": exposure_id, "detector": detector}))
    yield "01-raw", thumbnail(raw.array.astype(np.float32), size=500)
    bias = reader.get(night.ref("bias", {"detector": detector}), "image").array
    middle, spread = np.nanmedian(bias), 1.4826 * np.nanmedian(np.abs(bias - np.nanmedian(bias)))
    yield "02-bias", thumbnail(bias, size=500, linear=(middle - 4.0 * spread, middle + 4.0 * spread))
    flats = [r for r in reader.refs("flat") if int(r.dataId["detector"]) == detector]
    ref = next(r for r in flats if str(r.dataId["physical_filter"]) == night.visit_image.physical_filter)
    flat = reader.get(ref, "image").array
    yield "03-flat", thumbnail(flat, size=500, linear=(0.85, 1.1))


def visit_panels(night: Night) -> Iterator[tuple[str, bytes]]:
    """Draw the visit before and after the joint calibration, with its detections."""
    first = night.here("preliminary_visit_image").subset(night.area)
    yield "04-preliminary-visit-image", coloured(first, night.notes("preliminary"))
    stars = night.here("single_visit_star")
    found = inside(stars, night.area)
    notes = night.notes("detections", f"orange: {found[0].size}")
    yield (
        "05-detections",
        image_panel(
            stretch(first.image.array),
            circles=[(found[0] - night.area.x.start, found[1] - night.area.y.start)],
            notes=notes,
        ),
    )
    psf, box = night.visit_image.psf, night.visit_image.bbox
    assert psf is not None
    places = [(box.x.start + fx * box.x.size, box.y.start + fy * box.y.size)
              for fy in (0.85, 0.5, 0.15) for fx in (0.15, 0.5, 0.85)]  # fmt: skip
    labels = [f"x {x:.0f}, y {y:.0f}: FWHM {np.squeeze(psf.fwhm(x=x, y=y)):.2f} px" for x, y in places]
    yield "06-psf", psf_grid_plot([psf.stamp(x=x, y=y) for x, y in places], labels)
    sources = night.reader.table("source")
    assert sources is not None
    yield "07-repeatability", repeatability_plot(star_statistics(sources))
    left = star_residuals(sources, min_snr=100.0).on(night.data_id["detector"])
    yield "08-residuals", residual_map(left.x, left.y, left.dx_mas, left.dy_mas, left.mag_mmag)
    yield "09-visit-image", coloured(night.visit_image.subset(night.area), night.notes("visit image"))


def sky_panels(night: Night) -> Iterator[tuple[str, bytes]]:
    """Draw the same area of the warp, the coadds and the difference."""
    warp, coadd, template = (night.on_sky_grid(n) for n in ("direct_warp", "deep_coadd", "template_coadd"))
    yield "10-direct-warp", coloured(warp, night.notes("direct warp"))
    yield "11-deep-coadd", coloured(coadd, night.notes("deep coadd", f"{len(coadd.inputs)} inputs"))
    yield "12-template", coloured(template, night.notes("template", f"{len(template.inputs)} inputs"))
    difference = night.here("difference_image").subset(night.area)
    pixels, found = difference.image.array, night.here("dia_source_detector")
    noise = 1.4826 * float(np.nanmedian(np.abs(pixels)))
    negative = np.asarray(found["isNegative"], bool)
    circles = [inside(found, night.area, sign) for sign in (~negative, negative)]
    up, down = (x.size for x, _ in circles)
    yield (
        "13-difference",
        image_panel(
            linear_levels(pixels, -6.0 * noise, 6.0 * noise),
            planes={name: difference.mask.any_of(name) for name in ("SAT", "CR", "BAD", "VIGNETTED", "NO_DATA")},
            circles=[(x - night.area.x.start, y - night.area.y.start) for x, y in circles],
            notes=night.notes("difference", "grey: -6 to +6", "noise widths", f"orange: {up} up", f"blue: {down} down"),
        ),
    )


def mover_pictures(night: Night) -> Iterator[tuple[str, bytes]]:
    """Draw the movers' stamps on the differences, and their tracks."""
    stamps, labels = [], []
    for mover in night.movers[:MOVERS]:
        track = night.track(mover)
        rows = np.unique(np.linspace(0, len(track) - 1, STAMPS).round().astype(int))
        for k in rows:
            stamps.append(_stamp(night, track, int(k)))
            labels.append(f"{mover['name']} {24.0 * (track['mjd_tai'][k] - track['mjd_tai'][0]):.2f} h")
        blank = np.full_like(stamps[0], 1e9)  # white: completes the row
        stamps += [blank] * (STAMPS - rows.size)
        labels += [""] * (STAMPS - rows.size)
    yield "14-movers", stamp_strip(stamps, labels, columns=STAMPS, zoom=3)
    tracks = [night.track(mover) for mover in night.movers]
    yield "15-tracks", tracks_plot(
        [mover["name"] for mover in night.movers],
        [np.asarray(track["ra"]) for track in tracks], [np.asarray(track["dec"]) for track in tracks],
        [np.stack([track["raResidual"], track["decResidual"]], axis=1) for track in tracks],
    )  # fmt: skip


def _stamp(night: Night, track: Table, k: int) -> NDArray[np.float32]:
    side = 2 * HALF_STAMP + 1
    ref = night.ref("difference_image", {"visit": int(track["visit"][k]), "detector": int(track["detector"][k])})
    wanted = Box.around(x=float(track["x"][k]), y=float(track["y"][k]), width=side)
    overlap = wanted.intersection(night.reader.get(ref, "bbox"))
    stamp = np.full((side, side), np.nan, np.float32)
    stamp[overlap.slices_in(wanted)] = night.reader.get(ref, "image", box=overlap).array
    return stamp


def light_curves(night: Night) -> Iterator[tuple[str, bytes]]:
    """Draw the two most variable objects, and the two most significant objects of the differences."""
    numbers = variables.gather(night.reader)
    forced, dia = night.reader.table("forced_source"), night.reader.table("dia_source")
    assert forced is not None
    assert dia is not None
    good = forced.take(np.flatnonzero(usable_rows(forced)))
    curves = [_curve(good, "objectId", row) for row in numbers["objects"][:2]]
    curves += [_curve(dia, "diaObjectId", row) for row in numbers["dia_objects"][:2]]
    yield "16-light-curves", light_curves_plot(curves, columns=2)


def _curve(table: Table, key: str, row: dict[str, Any]) -> LightCurve:
    rows = table.take(np.flatnonzero(table[key] == int(row[key])))
    kind = "forced flux" if key == "objectId" else "difference flux"
    mjd, flux, err = (np.asarray(rows[name], float) for name in ("midpointMjdTai", "psfFlux", "psfFluxErr"))
    return LightCurve(
        f"{kind}, {row['ra_deg']:.4f} {row['dec_deg']:+.4f}", mjd, flux, err, np.asarray(rows["band"], str)
    )


def alert_cutouts(night: Night) -> Iterator[tuple[str, bytes]]:
    """Draw what two alerts carry: the mover's, and the strongest of the first difference-image object."""
    track, dia = night.track(night.movers[0]), night.reader.table("dia_source")
    assert dia is not None
    top = variables.gather(night.reader)["dia_objects"][0]
    mine = dia.take(np.flatnonzero(dia["diaObjectId"] == int(top["diaObjectId"])))
    strongest = int(np.argmax(np.abs(mine["snr"])))
    chosen = [(int(track["diaSourceId"][len(track) // 2]), "mover"), (int(mine["diaSourceId"][strongest]), "object")]
    stamps, labels = [], []
    for number, label in chosen:
        for kind in ("Science", "Template", "Difference"):
            content = _alert(night.reader, number, f"cutout{kind}")
            with fits.open(io.BytesIO(content)) as file:
                stamps.append(np.asarray(file[0].data, np.float32))
            labels.append(f"{label}: {kind.lower()}")
    yield "17-alerts", stamp_strip(stamps, labels, columns=3, zoom=7)


def _alert(reader: Reader, number: int, field: str) -> bytes:
    for ref in reader.refs("alert_batch"):
        batch = reader.get(ref)
        if number in batch.ids:
            return bytes(decode_alert(batch.packets[batch.ids.index(number)], (field,))[field])
    raise LookupError(number)


def main() -> int:
    """Draw all pictures of a repository into a folder."""
    night, folder = Night(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for draw in (calibration_frames, visit_panels, sky_panels, mover_pictures, light_curves, alert_cutouts):
        for name, data in draw(night):
            small = compact_png(Picture.open(io.BytesIO(data)))
            (folder / f"{name}.png").write_bytes(small)
            print(f"{name}: {len(small) / 1024:.0f} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
