"""From a translated header to the visit info of an exposure."""

from etendue.camera.camera import Observatory
from etendue.camera.observation_info import ObservationInfo
from etendue.image.visit_info import VisitInfo


def visit_info_of(info: ObservationInfo, observatory: Observatory | None) -> VisitInfo:
    """Return when and where a raw frame was taken.

    Parameters
    ----------
    info : ObservationInfo
        Translated header.
    observatory : Observatory, optional
        Site of the camera.

    Returns
    -------
    VisitInfo
    """
    site = (
        {}
        if observatory is None
        else {
            "longitude_deg": observatory.longitude_deg,
            "latitude_deg": observatory.latitude_deg,
            "elevation_m": observatory.elevation_m,
        }
    )
    return VisitInfo(
        visit=info.exposure_id,
        exposure_time_s=info.exposure_time_s,
        mjd_tai=info.mjd_tai_mid,
        date_begin_mjd_tai=info.mjd_tai_begin,
        ra_deg=info.ra_deg,
        dec_deg=info.dec_deg,
        rotation_deg=info.rotation_deg,
        airmass=info.airmass,
        day_obs=info.day_obs,
        seq=info.seq,
        object=info.object,
        observation_type=info.observation_type,
        instrument=info.instrument,
        file_name=info.file_name,
        **site,
    )
