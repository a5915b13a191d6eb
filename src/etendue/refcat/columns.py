"""Find out which columns of a foreign table hold what."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from etendue.errors import InputError

_NAMES: dict[str, tuple[str, ...]] = {
    ours: tuple(candidates.split())
    for ours, candidates in {
        "id": "id source_id objid objectid object_id sourceid",
        "ra": "ra ra_deg radeg raj2000 ra_icrs ramean alpha_j2000 coord_ra _raj2000 ra2000 right_ascension",
        "dec": "dec dec_deg decdeg dedeg dej2000 decj2000 de_icrs dec_icrs decmean delta_j2000 coord_dec _dej2000"
        " dec2000 declination",
        "raErr": "raerr ra_err ra_error e_raj2000 e_ra_icrs e_radeg",
        "decErr": "decerr dec_err dec_error e_dej2000 e_de_icrs e_dedeg",
        "pmra": "pmra pm_ra pmra_cosdec pm_ra_cosdec",
        "pmdec": "pmdec pm_dec pmde",
        "pmraErr": "pmraerr pmra_err pmra_error e_pmra",
        "pmdecErr": "pmdecerr pmdec_err pmdec_error e_pmde e_pmdec",
        "epoch": "epoch ref_epoch epoch_mjd refepoch mjd",
        "parallax": "parallax plx",
        "parallaxErr": "parallaxerr parallax_err parallax_error e_plx",
    }.items()
}
# Names of bands hold no underscore: it parts the band from the rest of a column's name.
_MAG_PATTERNS = (
    r"phot_(?P<band>g|bp|rp)_mean_mag",
    r"(?P<band>[^\W_]+?)_?mean_?psf_?mag",
    r"mag_(?P<band>(?!err)[^\W_]+)",
    r"(?P<band>[^\W_]+?)_?mag",
)
_FLUX_PATTERNS = (r"(?P<band>[^\W_]+)_flux",)
_ERROR_FORMS = ("e_{0}", "{0}_err", "{0}err", "{0}_error", "{0}sig", "err_{0}")
_NOT_BANDS = {"e", "err", "phot", "abs", "app"}


@dataclass(frozen=True, slots=True)
class BandColumns:
    """Where the brightness in one band is.

    Parameters
    ----------
    value : str
        Column of magnitudes or fluxes.
    error : str, optional
        Column of their errors.
    is_flux : bool
        Fluxes in nJy instead of AB magnitudes.
    """

    value: str
    error: str | None = None
    is_flux: bool = False


@dataclass(frozen=True, slots=True)
class RefcatColumns:
    """Columns of a foreign table.

    Parameters
    ----------
    fields : dict of str to str
        Their column for each field of the ``refcat`` schema that the table has.
    bands : dict of str to BandColumns
        Brightness columns by band.
    """

    fields: dict[str, str] = field(default_factory=dict)
    bands: dict[str, BandColumns] = field(default_factory=dict)


def find_columns(
    names: Iterable[str], given: Mapping[str, str] | None = None, *, source: object = None
) -> RefcatColumns:
    """Decide which columns hold what, by the mapping given and else by the names.

    Parameters
    ----------
    names : iterable of str
        Columns of the table.
    given : mapping of str to str, optional
        Our name (``ra``, ``pmra``, ``epoch``..., ``g_mag``, ``g_magErr``, ``g_flux``, ``g_fluxErr``) to the table's.
        Bands are guessed only where no band is given.
    source : object, optional
        File name for error messages.

    Returns
    -------
    RefcatColumns

    Raises
    ------
    InputError
        If a given column is missing, a given name is unknown, or no position is found.
    """
    available = list(names)
    chosen = dict(given or {})
    missing = sorted(set(chosen.values()) - set(available))
    if missing:
        raise InputError(
            "the table lacks columns of the mapping", source=source, value=missing, remedy=f"it has {available}"
        )
    by_lower = {name.lower(): name for name in reversed(available)}
    fields = {ours: _first(by_lower, candidates) for ours, candidates in _NAMES.items()}
    fields |= {ours: theirs for ours, theirs in chosen.items() if ours in _NAMES}
    if not fields["ra"] or not fields["dec"]:
        raise InputError(
            "no columns of right ascension and declination",
            source=source,
            value=available,
            remedy="name them: etendue refcat build TABLE CATALOG --column ra=NAME --column dec=NAME",
        )
    bands = _given_bands({k: v for k, v in chosen.items() if k not in _NAMES}, source)
    taken = {name for name in fields.values() if name}
    return RefcatColumns({k: v for k, v in fields.items() if v}, bands or _guess_bands(available, by_lower, taken))


def _first(by_lower: Mapping[str, str], candidates: Iterable[str]) -> str:
    return next((by_lower[name] for name in candidates if name in by_lower), "")


def _given_bands(given: Mapping[str, str], source: object) -> dict[str, BandColumns]:
    bands = {}
    for name, column in given.items():
        found = re.fullmatch(r"([^\W_]+)_(mag|flux)(Err)?", name)
        if found is None:
            raise InputError(
                "unknown name in the mapping",
                source=source,
                value=name,
                remedy="use g_mag, g_magErr, g_flux or g_fluxErr for bands",
            )
        if found[3] is None:
            bands[found[1]] = BandColumns(column, given.get(f"{name}Err"), found[2] == "flux")
    return bands


def _guess_bands(names: Iterable[str], by_lower: Mapping[str, str], taken: set[str]) -> dict[str, BandColumns]:
    bands: dict[str, BandColumns] = {}
    for name in names:
        for pattern, is_flux in [(p, True) for p in _FLUX_PATTERNS] + [(p, False) for p in _MAG_PATTERNS]:
            found = re.fullmatch(pattern, name, re.IGNORECASE)
            if found is None or name in taken or name.lower().startswith(("e_", "err")):
                continue
            band = found["band"]
            if band.lower() not in _NOT_BANDS and band not in bands:
                error = _first(by_lower, (form.format(name.lower()) for form in _ERROR_FORMS))
                bands[band] = BandColumns(name, error or None, is_flux)
            break
    return bands
