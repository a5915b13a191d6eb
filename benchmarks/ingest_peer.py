"""Ingest with daf_butler alone, as a team would write it: python ingest_peer.py REPO FOLDER."""

import sys
from pathlib import Path

from astropy.io import fits
from astropy.time import Time, TimeDelta
from lsst.daf.butler import Butler, DatasetRef, DatasetType, FileDataset, Timespan

from etendue.middleware.formatters import RawFormatter


def main(home: Path, folder: Path) -> None:
    butler = Butler.from_config(str(home), run="bench/raw/all", writeable=True)
    raw = DatasetType("raw", ("instrument", "exposure", "detector"), "EtendueRaw", universe=butler.dimensions)
    butler.registry.registerDatasetType(raw)
    exposures, ids = {}, []
    for path in sorted(folder.rglob("*.fits")):
        header = fits.getheader(path)
        begin = Time(header["DATE-OBS"], scale="utc").tai
        day = int(header["DATE-OBS"][:10].replace("-", ""))
        exposure = day * 100_000 + header["SEQ"]
        exposures.setdefault(exposure, _record(exposure, day, header, begin))
        ids.append((path, exposure, header["CCDNUM"]))
    with butler.transaction():
        registry = butler.registry
        days = {record["day_obs"] for record in exposures.values()}
        registry.insertDimensionData("day_obs", *({"instrument": "bench", "id": day} for day in days))
        registry.insertDimensionData("group", *({"instrument": "bench", "name": str(e)} for e in exposures))
        registry.insertDimensionData("exposure", *exposures.values())
        files = []
        for path, exposure, detector in ids:
            data_id = registry.expandDataId(instrument="bench", exposure=exposure, detector=detector)
            files.append(
                FileDataset(path.as_uri(), DatasetRef(raw, data_id, run="bench/raw/all"), formatter=RawFormatter)
            )
        butler.ingest(*files, transfer="direct")


def _record(exposure: int, day: int, header: fits.Header, begin: Time) -> dict:
    seconds = header["EXPTIME"]
    return {
        "instrument": "bench", "id": exposure, "obs_id": str(exposure), "physical_filter": header["FILTER"],
        "group": str(exposure), "day_obs": day, "exposure_time": seconds, "dark_time": seconds,
        "observation_type": "science", "observation_reason": "science", "seq_num": header["SEQ"],
        "seq_start": header["SEQ"], "seq_end": header["SEQ"], "target_name": header["OBJECT"], "science_program": "",
        "tracking_ra": header["RA"], "tracking_dec": header["DEC"], "sky_angle": 0.0, "azimuth": None,
        "zenith_angle": None, "has_simulated": False, "can_see_sky": True,
        "timespan": Timespan(begin, begin + TimeDelta(seconds, format="sec")),
    }  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
