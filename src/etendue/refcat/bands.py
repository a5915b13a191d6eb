"""Fluxes of reference stars in the bands of a camera: colour terms, published or the camera's own."""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

import numpy as np
import yaml
from numpy.typing import NDArray

from etendue.camera.band_rule import BandRule
from etendue.camera.camera import Camera
from etendue.refcat.service import load_service, service_names
from etendue.table.table import Table

_NJY_ZERO_POINT_MAG = 31.4
_MAG_PER_LN = 2.5 / np.log(10.0)
_ANY = "any"
Flux = tuple[NDArray[np.float64], NDArray[np.float64]]
# Filter names in small letters and digits. One-letter names mean themselves: upper case Johnson-Cousins, lower SDSS.
_ALIASES: Mapping[str, str] = {
    alias: band
    for band, aliases in {
        "clear": "open none unfiltered empty air lum luminance clr clear c l w white cv cr",
        "B": "bj bessellb johnsonb cousinsb",
        "V": "vj bessellv johnsonv cousinsv",
        "R": "rc rj bessellr johnsonr cousinsr",
        "I": "ic ij besselli johnsoni cousinsi",
        "g": "gp sdssg sdssgp sloang",
        "r": "rp sdssr sdssrp sloanr",
        "i": "ip sdssi sdssip sloani",
        "z": "zp zs sdssz sdsszp sloanz",
        "K": "ks",
    }.items()
    for alias in aliases.split()
}


def add_bands(
    table: Table, bands: Iterable[str], *, catalog: str = _ANY, rules: Mapping[str, BandRule] | None = None
) -> Table:
    """Give reference stars fluxes in more bands.

    Parameters
    ----------
    table : Table
        Schema ``refcat``.
    bands : iterable of str
        Wanted bands.
    catalog : str
        ``gaia``, ``ps1`` or ``2mass``, whose published colour terms are used; another name has none.
    rules : mapping of str to BandRule, optional
        Rules for some bands that come before everything else. The bands that they name are the catalog's own or
        published ones.

    Returns
    -------
    Table
        With the bands that can be had. A flux is NaN outside the colours for which its rule holds; its error holds
        the errors of all magnitudes that enter, and the rule's scatter.
    """
    added: dict[str, NDArray[np.float64]] = {}
    for band in dict.fromkeys(bands):
        rule = (rules or {}).get(band)
        found = _standard(table, band, catalog) if rule is None else _by_rule(rule, table, catalog)
        if found is not None:
            added |= {f"{band}_flux": found[0], f"{band}_fluxErr": found[1]}
    return table.with_columns(added) if added else table


def in_camera_bands(table: Table, camera: Camera, *, catalog: str = _ANY) -> Table:
    """Give reference stars fluxes in the bands of a camera.

    Parameters
    ----------
    table : Table
        Schema ``refcat``.
    camera : Camera
        Its filters' own rules come first, then the catalog's own band of that name, then the published colour terms.
    catalog : str
        As for `add_bands`.

    Returns
    -------
    Table
        As `add_bands` returns it.
    """
    rules = {}
    for entry in camera.filters:
        rule = entry.reference.get(catalog) or entry.reference.get(_ANY)
        if rule is not None:
            rules[entry.band] = rule
    return add_bands(table, [entry.band for entry in camera.filters], catalog=catalog, rules=rules)


def colour_terms(catalog: str) -> Mapping[str, BandRule]:
    """Return the published rules of a catalog, and those that hold for any.

    Parameters
    ----------
    catalog : str
        ``gaia``, ``ps1``, ``2mass``, or anything else, which has no rules of its own.

    Returns
    -------
    mapping of str to BandRule
        By wanted band.
    """
    return _shipped_rules().get(catalog, {}) | _shipped_rules()[_ANY]


@cache
def _shipped_rules() -> dict[str, dict[str, BandRule]]:
    content = yaml.safe_load(resources.files("etendue.refcat").joinpath("colour_terms.yaml").read_text())
    return {
        catalog: {band: BandRule.model_validate(rule) for band, rule in rules.items()}
        for catalog, rules in content.items()
    }


def _standard(table: Table, band: str, catalog: str) -> Flux | None:
    """Return flux and error as the catalog has them, else by its published colour term, else of the filter's alias."""
    if band in table.bands:
        return np.asarray(table[f"{band}_flux"], float), np.asarray(table[f"{band}_fluxErr"], float)
    rule = colour_terms(catalog).get(band)
    if rule is not None:
        return _by_rule(rule, table, catalog)
    alias = _ALIASES.get("".join(char for char in band.lower() if char.isalnum())) if len(band) > 1 else None
    return None if alias in (None, band) else _standard(table, str(alias), catalog)


def _by_rule(rule: BandRule, table: Table, catalog: str) -> Flux | None:
    """Return what a rule makes of standard bands; None if one of them cannot be had."""
    names = dict.fromkeys(rule.mean_of or (rule.band, *(rule.color or ())))
    found = {name: _standard(table, name, catalog) for name in names}
    parts = {name: part for name, part in found.items() if part is not None}
    if len(parts) < len(found):
        return None
    return _mean(rule, parts) if rule.mean_of else _colour_term(rule, parts, _offsets(catalog, rule))


def _mean(rule: BandRule, parts: Mapping[str, Flux]) -> Flux:
    flux = np.mean([parts[name][0] for name in rule.mean_of], axis=0)
    err = np.sqrt(np.sum([parts[name][1] ** 2 for name in rule.mean_of], axis=0)) / len(rule.mean_of)
    factor = 10.0 ** (-0.4 * rule.offset)
    return flux * factor, np.hypot(err * factor, flux * factor * rule.scatter / _MAG_PER_LN)


def _offsets(catalog: str, rule: BandRule) -> Mapping[str, float]:
    """Return AB minus catalog magnitudes of the bands that a rule in catalog magnitudes takes."""
    if rule.system == "ab" or catalog not in service_names():
        return {}
    return {name: spec.offset for name, spec in load_service(catalog).bands.items()}


def _colour_term(rule: BandRule, parts: Mapping[str, Flux], offsets: Mapping[str, float]) -> Flux:
    mags, errors = {}, {}
    for name, (flux, err) in parts.items():
        positive = np.where(flux > 0.0, flux, np.nan)
        mags[name] = _NJY_ZERO_POINT_MAG - 2.5 * np.log10(positive) - offsets.get(name, 0.0)
        errors[name] = _MAG_PER_LN * np.nan_to_num(err) / positive
    first, second = rule.color or (rule.band, rule.band)
    colour = mags[first] - mags[second]
    polynomial = np.polynomial.Polynomial(rule.polynomial)
    inside = (colour >= rule.range[0]) & (colour <= rule.range[1])
    mag = np.where(inside, mags[rule.band] + polynomial(colour) + rule.offset, np.nan)
    slope = polynomial.deriv()(colour)
    variance = np.full(mag.size, rule.scatter**2)
    for name in parts:  # a band may be both the base and part of the colour: its errors add up before they are squared
        weight = float(name == rule.band) + slope * (float(name == first) - float(name == second))
        variance += (weight * errors[name]) ** 2
    flux = 10.0 ** (0.4 * (_NJY_ZERO_POINT_MAG - mag))
    return flux, flux * np.sqrt(variance) / _MAG_PER_LN
