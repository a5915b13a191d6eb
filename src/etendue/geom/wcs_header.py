"""FITS header cards of a world coordinate system."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.polynomial import Polynomial2D, powers_matrix
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import tangent_plane
from etendue.geom.tpv import TpvPolynomial

_GRID = 24
_MAX_FIT_ORDER = 7
_FIT_GOAL_PX = 1e-5
_POLE_TERMS = {3, 4}
"""Of the longitude axis: under a plain TAN they stand for LONPOLE and LATPOLE, as AST and wcslib write them."""

_FRAMES = ("ICRS", "FK5", "")
_LIMITS = {"CRPIX": 1e7, "CRVAL": 1e4, "CD": 180.0, "": 1e40}
"""Larger numbers are no place on any detector or sky, and would overflow in polynomials."""


def read_wcs(header: Mapping[str, Any]) -> SkyWcs:
    """Return the WCS of a header: TAN, TAN-SIP or TPV.

    Parameters
    ----------
    header : mapping of str to object
        Cards; an astropy Header will do. Numbers may be given as strings. PV terms under a plain TAN
        are TPV, as SCAMP writes them, unless they only stand for the pole; if SIP terms are there too, the PV
        terms are left out. The linear part may be CD, PC with CDELT, or CDELT with CROTA2. The axes may be swapped.

    Returns
    -------
    SkyWcs
        In zero-based pixels of the header's own array.

    Raises
    ------
    InputError
        If cards are missing or not numbers, or the projection or frame is another one.

    Notes
    -----
    FK5 at equinox 2000 is taken as ICRS (they differ by 20 mas).
    """
    lon, lat = _sky_axes(header)
    _check_frame(header)
    crval = (_number(header, f"CRVAL{lon}"), _number(header, f"CRVAL{lat}"))
    crpix = (_number(header, "CRPIX1") - 1.0, _number(header, "CRPIX2") - 1.0)
    if abs(crval[1]) > 90.0:
        raise InputError(f"CRVAL{lat} is no declination", value=crval[1], remedy="correct the header")
    cd = _linear_matrix(header)[[lon - 1, lat - 1]]
    sip, tpv = _read_sip(header), _read_tpv(header, lon, lat)
    pole = _number(header, "LONPOLE", 180.0 if crval[1] < 90.0 else 0.0)
    if pole != 180.0:
        turn = _rotation(180.0 - pole)
        # The sphere is turned after the polynomial, which without one is the same as turning the matrix.
        if tpv is not None and sip is None:
            tpv = tpv.rotated(turn)
        else:
            cd = turn @ cd
    return SkyWcs(crpix, crval, cd, sip=sip, tpv=None if sip is not None else tpv)


def write_wcs(wcs: SkyWcs, box: Box) -> tuple[dict[str, Any], float]:
    """Return TAN or TAN-SIP cards for the pixels of a box.

    Parameters
    ----------
    wcs : SkyWcs
        Parent pixels to sky.
    box : Box
        The array's pixels, parent coordinates; FITS pixel (1, 1) is its first pixel.

    Returns
    -------
    cards : dict
        Header cards. ``WCSRESID`` and ``INVRESID`` give the largest errors of the SIP polynomials
        and of their inverse (AP, BP) inside the box [px].
    residual_px : float
        ``WCSRESID``: 0 where the model is TAN or SIP, else that of the fit to it.
    """
    residual = 0.0
    if wcs.tpv is not None:
        wcs, residual = _refit_as_sip(wcs, box)
    cards: dict[str, Any] = {"WCSAXES": 2, "RADESYS": "ICRS", "LONPOLE": 180.0}
    suffix = "" if wcs.sip is None else "-SIP"
    for axis, name in enumerate(("RA---TAN", "DEC--TAN")):
        origin = (box.x.start, box.y.start)[axis]
        cards[f"CTYPE{axis + 1}"] = name + suffix
        cards[f"CUNIT{axis + 1}"] = "deg"
        cards[f"CRVAL{axis + 1}"] = wcs.crval[axis]
        cards[f"CRPIX{axis + 1}"] = wcs.crpix[axis] + 1.0 - origin
        cards.update({f"CD{axis + 1}_{j + 1}": float(wcs.cd[axis, j]) for j in range(2)})
    if wcs.sip is not None:
        inverse, inverse_residual = _fit_inverse(wcs, box)
        for name, polynomial in zip(("A", "B", "AP", "BP"), (*wcs.sip, *inverse), strict=True):
            cards.update(_polynomial_cards(name, polynomial))
        cards["INVRESID"] = inverse_residual
    cards["WCSRESID"] = residual
    return cards, residual


def write_wcs_of_array(wcs: SkyWcs, box: Box) -> dict[str, Any]:
    """Return the cards of `write_wcs` for an array that begins at parent pixel (0, 0) and holds a box.

    Parameters
    ----------
    wcs : SkyWcs
        Parent pixels to sky.
    box : Box
        Pixels in which the cards must be good, parent coordinates.

    Returns
    -------
    dict
        Header cards; FITS pixel (1, 1) is parent pixel (0, 0).
    """
    cards, _ = write_wcs(wcs, box)
    return cards | {"CRPIX1": cards["CRPIX1"] + box.x.start, "CRPIX2": cards["CRPIX2"] + box.y.start}


def _number(header: Mapping[str, Any], key: str, default: float | None = None) -> float:
    value = header.get(key, default)
    if value is None:
        raise InputError("the header has no usable WCS: missing card", value=key)
    try:
        number = float(str(value).strip().replace("D", "E"))
    except ValueError:
        raise InputError(f"WCS card {key} is not a number", value=value) from None
    limit = next(limit for name, limit in _LIMITS.items() if key.startswith(name))
    if not abs(number) <= limit:
        raise InputError(f"WCS card {key} is absurd", value=value)
    return number


def _sky_axes(header: Mapping[str, Any]) -> tuple[int, int]:
    """Return the numbers of the RA and Dec axes."""
    types = [str(header.get(f"CTYPE{axis}", "")).strip().upper() for axis in (1, 2)]
    projections = {kind[4:].lstrip("-") for kind in types}
    if len(projections) != 1 or not projections <= {"TAN", "TAN-SIP", "TPV"}:
        raise InputError("WCS is not TAN, TAN-SIP or TPV: CTYPE", value=types)
    names = [kind[:4].rstrip("-") for kind in types]
    if sorted(names) != ["DEC", "RA"]:
        raise InputError("WCS axes are not RA and DEC: CTYPE", value=types)
    return names.index("RA") + 1, names.index("DEC") + 1


def _check_frame(header: Mapping[str, Any]) -> None:
    frame = str(header.get("RADESYS", header.get("RADECSYS", ""))).strip().upper()
    if frame not in _FRAMES:
        raise InputError("WCS frame is not ICRS or FK5: RADESYS", value=frame)
    if frame != "ICRS" and _number(header, "EQUINOX", 2000.0) != 2000.0:
        raise InputError("WCS equinox is not 2000: EQUINOX", value=header.get("EQUINOX"))
    for axis in (1, 2):
        if str(header.get(f"CUNIT{axis}", "deg")).strip().lower() not in ("deg", "degree", "degrees", ""):
            raise InputError(f"WCS unit is not degree: CUNIT{axis}", value=header.get(f"CUNIT{axis}"))


def _linear_matrix(header: Mapping[str, Any]) -> NDArray[np.float64]:
    if any(f"CD{i}_{j}" in header for i in (1, 2) for j in (1, 2)):
        return np.array([[_number(header, f"CD{i}_{j}", 0.0) for j in (1, 2)] for i in (1, 2)])
    steps = np.array([_number(header, "CDELT1"), _number(header, "CDELT2")])
    if any(f"PC{i}_{j}" in header for i in (1, 2) for j in (1, 2)):
        pc = [[_number(header, f"PC{i}_{j}", float(i == j)) for j in (1, 2)] for i in (1, 2)]
        return steps[:, None] * np.array(pc)
    angle = np.radians(_number(header, "CROTA2", 0.0))
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[steps[0] * c, -steps[1] * s], [steps[0] * s, steps[1] * c]])


def _rotation(angle_deg: float) -> NDArray[np.float64]:
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return np.array([[c, -s], [s, c]])


def _read_sip(header: Mapping[str, Any]) -> tuple[Polynomial2D, Polynomial2D] | None:
    if "A_ORDER" not in header or "B_ORDER" not in header:
        return None
    matrices = []
    for name in ("A", "B"):
        order = int(_number(header, f"{name}_ORDER"))
        if not 0 <= order <= 9:
            raise InputError(f"SIP order is not 0 to 9: {name}_ORDER", value=order)
        terms = [(p, q) for p in range(order + 1) for q in range(order + 1 - p)]
        matrix = np.zeros((order + 1, order + 1))
        for p, q in terms:
            matrix[p, q] = _number(header, f"{name}_{p}_{q}", 0.0)
        matrices.append(matrix)
    return Polynomial2D(matrices[0]), Polynomial2D(matrices[1])


def _read_tpv(header: Mapping[str, Any], lon: int, lat: int) -> TpvPolynomial | None:
    terms: dict[int, dict[int, float]] = {1: {}, 2: {}}
    for key in header:
        found = re.fullmatch(r"PV([12])_(\d+)", str(key))
        if found:
            terms[int(found[1])][int(found[2])] = _number(header, str(key))
    if set(terms[lon]) <= _POLE_TERMS and not terms[lat] and "TPV" not in str(header.get(f"CTYPE{lon}")):
        return None
    return TpvPolynomial.from_terms(terms[lon], terms[lat]) if terms[1] or terms[2] else None


def _grid(box: Box) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Chebyshev points with the edges: they keep the largest residual of a fit small."""
    nodes = -np.cos(np.linspace(0.0, np.pi, _GRID))
    x, y = (axis.center + 0.5 * axis.size * nodes for axis in (box.x, box.y))
    grid_x, grid_y = np.meshgrid(x, y)
    return grid_x.ravel(), grid_y.ravel()


def _refit_as_sip(wcs: SkyWcs, box: Box) -> tuple[SkyWcs, float]:
    """Fit TAN-SIP, tangent at the middle of the box, with the lowest order that reaches the goal."""
    crpix = (box.x.center, box.y.center)
    ra0, dec0 = wcs.pixel_to_sky(x=crpix[0], y=crpix[1])
    x, y = _grid(box)
    plane = np.stack(tangent_plane(*wcs.pixel_to_sky(x=x, y=y), ra0, dec0), axis=-1)
    best, best_residual = None, np.inf
    for order in range(2, _MAX_FIT_ORDER + 1):
        matrices = _fit(x - crpix[0], y - crpix[1], plane, order, first=1)
        cd = np.array([[m[1, 0], m[0, 1]] for m in matrices])
        matrices[:, 1, 0] = matrices[:, 0, 1] = 0.0
        sip = np.einsum("ij,jpq->ipq", np.linalg.inv(cd), matrices)
        fitted = SkyWcs(crpix, (float(ra0), float(dec0)), cd, sip=(Polynomial2D(sip[0]), Polynomial2D(sip[1])))
        error = (np.stack(fitted.pixel_to_plane(x=x, y=y), axis=-1) - plane) @ np.linalg.inv(cd).T
        residual = float(np.abs(error).max())
        if residual < best_residual:
            best, best_residual = fitted, residual
        if best_residual < _FIT_GOAL_PX:
            break
    assert best is not None
    return best, best_residual


def _fit(
    u: NDArray[np.float64], v: NDArray[np.float64], values: NDArray[np.float64], order: int, *, first: int
) -> NDArray[np.float64]:
    """Fit both columns of ``values`` with terms of total power ``first`` to ``order``."""
    scale = max(float(np.abs(u).max()), float(np.abs(v).max()), 1.0)
    terms = [(p, q) for p in range(order + 1) for q in range(order + 1 - p) if p + q >= first]
    solution = np.linalg.lstsq(powers_matrix(u / scale, v / scale, terms), values, rcond=None)[0]
    matrices = np.zeros((2, order + 1, order + 1))
    for (p, q), pair in zip(terms, solution, strict=True):
        matrices[:, p, q] = pair / scale ** (p + q)
    return matrices


def _fit_inverse(wcs: SkyWcs, box: Box) -> tuple[tuple[Polynomial2D, Polynomial2D], float]:
    """Fit SIP's AP and BP: from distorted offsets back to pixel offsets."""
    assert wcs.sip is not None
    x, y = _grid(box)
    u, v = x - wcs.crpix[0], y - wcs.crpix[1]
    far_u, far_v = u + wcs.sip[0](u, v), v + wcs.sip[1](u, v)
    order = min(9, max(polynomial.order for polynomial in wcs.sip) + 2)
    target = np.stack([u - far_u, v - far_v], axis=-1)
    ap, bp = (Polynomial2D(matrix) for matrix in _fit(far_u, far_v, target, order, first=0))
    error = np.stack([ap(far_u, far_v), bp(far_u, far_v)], axis=-1) - target
    return (ap, bp), float(np.abs(error).max())


def _polynomial_cards(name: str, polynomial: Polynomial2D) -> dict[str, Any]:
    # Readers ignore SIP polynomials of an order below 2.
    cards: dict[str, Any] = {f"{name}_ORDER": max(2, polynomial.order)}
    for p, q in zip(*np.nonzero(polynomial.coefficients), strict=True):
        cards[f"{name}_{p}_{q}"] = float(polynomial.coefficients[p, q])
    return cards
