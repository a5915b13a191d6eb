"""Associate the difference-image detections of a tract into objects."""

from dataclasses import dataclass

import numpy as np

from etendue.geom.skymap import SkyMap
from etendue.stages.stage import Input, Output, Prerequisite, Stage, StageConfig
from etendue.table.table import Table
from etendue.tasks.associate.associate import AssociateConfig, AssociateTask
from etendue.tasks.match.sky import MatchSkyConfig, MatchSkyTask


class AssociateDiaSourcesConfig(StageConfig):
    """Configuration of `AssociateDiaSources`."""

    associate: AssociateConfig = AssociateConfig()
    """Association radius."""

    match: MatchSkyConfig = MatchSkyConfig(radius_arcsec=2.0)
    """Match of the new objects to the objects of the coadd."""


@dataclass(frozen=True)
class AssociateDiaSourcesResult:
    """All detections of the tract with their objects."""

    sources: Table
    dia_objects: Table


class AssociateDiaSources(Stage[AssociateDiaSourcesConfig]):
    """Group detections by position; those on tracklets are movers and make no objects."""

    dimensions = ("skymap", "tract")
    detections = Input("dia_source_detector", ("instrument", "visit", "detector"), "EtendueTable", multiple=True)
    tracklets = Input("tracklet_source", ("instrument", "day_obs"), "EtendueTable", multiple=True, minimum=0)
    objects = Input("object", ("skymap", "tract", "patch"), "EtendueTable", multiple=True, minimum=0)
    skymap = Prerequisite("skyMap", ("skymap",), "EtendueSkyMap")
    sources = Output("dia_source", ("skymap", "tract"), "EtendueTable")
    dia_objects = Output("dia_object", ("skymap", "tract"), "EtendueTable")

    def run(
        self,
        *,
        detections: tuple[Table, ...],
        tracklets: tuple[Table, ...],
        objects: tuple[Table, ...],
        skymap: SkyMap,
        data_id: dict[str, int | str],
    ) -> AssociateDiaSourcesResult:
        """Associate the ``detections`` on the sky that the tract owns."""
        tract = int(data_id["tract"])
        sources = Table.concat(detections)
        sources = sources.take(np.flatnonzero(skymap.find_tract(sources["ra"], sources["dec"]) == tract))
        sources = sources.with_columns(trackletId=_tracklet_of(sources, tracklets))
        result = AssociateTask(self.config.associate).run(sources=sources, tract=tract)
        return AssociateDiaSourcesResult(result.sources, self._with_hosts(result.objects, objects))

    def _with_hosts(self, dia_objects: Table, objects: tuple[Table, ...]) -> Table:
        """Name the nearest coadd object of each."""
        if not objects or not len(dia_objects):
            return dia_objects
        catalog = Table.concat(objects)
        matches = MatchSkyTask(self.config.match).run(
            ra1_deg=dia_objects["ra"], dec1_deg=dia_objects["dec"],
            ra2_deg=catalog["coord_ra"], dec2_deg=catalog["coord_dec"],
        )  # fmt: skip
        host, distance = np.zeros(len(dia_objects), np.int64), np.full(len(dia_objects), np.nan)
        host[matches.first] = catalog["objectId"][matches.second]
        distance[matches.first] = matches.separation_arcsec
        return dia_objects.with_columns(objectId=host, objectDistance=distance)


def _tracklet_of(sources: Table, tracklets: tuple[Table, ...]) -> np.ndarray:
    """Return the tracklet of every detection, 0 for none."""
    found = np.zeros(len(sources), np.int64)
    for members in tracklets:
        order = np.argsort(members["diaSourceId"], kind="stable")
        ids = np.asarray(members["diaSourceId"])[order]
        place = np.minimum(np.searchsorted(ids, sources["diaSourceId"]), max(ids.size - 1, 0))
        if ids.size:
            hit = ids[place] == sources["diaSourceId"]
            found[hit] = np.asarray(members["trackletId"])[order][place[hit]]
    return found
