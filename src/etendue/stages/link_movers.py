"""Link the difference-image detections of a night into tracks of moving objects."""

from dataclasses import dataclass

import numpy as np

from etendue.image.visit_info import VisitInfo
from etendue.stages.stage import DatasetHandle, Input, Output, Stage, StageConfig
from etendue.table.table import Table
from etendue.tasks.moving.ades import AdesHeader, ades_psv
from etendue.tasks.moving.frames import Site
from etendue.tasks.moving.link import LinkConfig, LinkTask
from etendue.tasks.moving.tracklet_table import tracklet_tables

_COMMENT = "Positions measured on difference images with etendue; check before submitting"


class LinkMoversConfig(StageConfig):
    """Configuration of `LinkMovers`."""

    link: LinkConfig = LinkConfig()
    """Linking and track fitting."""

    bad_flags: tuple[str, ...] = ("centroid_flag", "psfFlux_flag", "isDipole", "pixelFlags_saturatedCenter")
    """Detections with one of these flags do not start or join a track."""

    station: str = "XXX"
    """Observatory code of the Minor Planet Center."""

    astrometric_catalog: str = "UNK"
    """ADES name of the astrometric reference catalog."""


@dataclass(frozen=True)
class LinkMoversResult:
    """Tracks, their detections, and both in the exchange format."""

    tracklets: Table
    tracklet_sources: Table
    ades: str


class LinkMovers(Stage[LinkMoversConfig]):
    """Find everything that moves in a straight line through the night."""

    dimensions = ("instrument", "day_obs")
    detections = Input("dia_source_detector", ("instrument", "visit", "detector"), "EtendueTable", multiple=True)
    images = Input(
        "difference_image", ("instrument", "visit", "detector"), "EtendueExposure", multiple=True, deferred=True
    )
    tracklets = Output("tracklet", ("instrument", "day_obs"), "EtendueTable")
    tracklet_sources = Output("tracklet_source", ("instrument", "day_obs"), "EtendueTable")
    ades = Output("ades", ("instrument", "day_obs"), "EtendueText")

    def run(
        self,
        *,
        detections: tuple[Table, ...],
        images: tuple[DatasetHandle, ...],
        data_id: dict[str, int | str],
    ) -> LinkMoversResult:
        """Link the ``detections`` of a night; of ``images`` only time, place and flux scale are read."""
        sources = Table.concat(detections)
        good = np.ones(len(sources), bool)
        for flag in self.config.bad_flags:
            good &= ~np.asarray(sources[flag], bool)
        sources = sources.take(np.flatnonzero(good))
        site = _site(images[0].get(component="visit_info"))
        linked = LinkTask(self.config.link).run(sources=sources, site=site)
        day_obs = int(data_id["day_obs"])
        tracklets, members = tracklet_tables(linked, sources, site=site, day_obs=day_obs, n_frames=_visits(images))
        scale = images[0].get(component="photo_calib")
        ades = ades_psv(
            members, catalog=self.config.astrometric_catalog,
            header=AdesHeader(self.config.station, telescope=str(data_id["instrument"]), comments=(_COMMENT,)),
            absolute=scale is not None and scale.kind == "absolute",
        )  # fmt: skip
        return LinkMoversResult(tracklets, members, ades)


def _visits(images: tuple[DatasetHandle, ...]) -> int:
    return len({image.data_id["visit"] for image in images})


def _site(info: VisitInfo) -> Site | None:
    place = (info.longitude_deg, info.latitude_deg, info.elevation_m)
    return Site(*place) if np.isfinite(place).all() else None
