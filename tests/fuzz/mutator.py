"""Damage FITS files on purpose: equal seeds give equal bytes."""

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

BLOCK, CARD = 2880, 80
KEPT = (
    "SIMPLE",
    "XTENSION",
    "BITPIX",
    "NAXIS",
    "NAXIS1",
    "NAXIS2",
    "PCOUNT",
    "GCOUNT",
    "TFIELDS",
    "TFORM1",
    "ZIMAGE",
    "BSCALE",
    "BZERO",
)
Random = np.random.Generator
VALUES = (
    "NaN",
    "'nan'",
    "inf",
    "'-inf'",
    "'Infinity'",
    "1e999",
    "-1E+400",
    "9" * 60,
    "-" + "9" * 40,
    str(2**63),
    "-1",
    "0",
    "1.0e-320",
    "''",
    "'    '",
    "'string'",
    "T",
    "F",
    "(1.0, 2.0)",
    "'12:34:56:78'",
    "'99:99:99'",
    "'2024-13-45T99:99:99'",
    "'0000-00-00T00:00:00'",
    "'9999-12-31T23:59:59'",
    "'0001-01-01T00:00:00'",
    "'unterminated",
    "1.2.3",
    "0x1F",
    "'1e5'",
    "'r;DROP TABLE raw'",
    "'../../etc/passwd'",
    "'[9:520,1:99999999]'",
    "'[0:0,0:0]'",
    "1e308",
    "'１２'",
    "",
)
STRUCTURE = (
    ("NAXIS", "0"),
    ("NAXIS", "1"),
    ("NAXIS", "3"),
    ("NAXIS", "-2"),
    ("NAXIS", "999"),
    ("NAXIS1", "0"),
    ("NAXIS1", "-5"),
    ("NAXIS1", "2147483648"),
    ("NAXIS2", "99999999999"),
    ("NAXIS2", "'300'"),
    ("BITPIX", "13"),
    ("BITPIX", "-64"),
    ("BITPIX", "'16'"),
    ("BZERO", "NaN"),
    ("BSCALE", "0"),
    ("BSCALE", "1e300"),
    ("PCOUNT", "-1"),
    ("GCOUNT", "0"),
    ("EXTEND", "7"),
    ("SIMPLE", "F"),
    ("NAXIS1", "7"),
    ("TFIELDS", "0"),
    ("ZNAXIS1", "-1"),
    ("ZCMPTYPE", "'NONE_1'"),
    ("ZTILE1", "0"),
    ("ZBITPIX", "5"),
    ("TFORM1", "'9Z'"),
    ("XTENSION", "'WHAT'"),
    ("BSCALE", "-1.0"),
    ("BSCALE", "'1'"),
    ("BZERO", "1e38"),
    ("BZERO", "T"),
    ("BLANK", "0"),
    ("BLANK", "'x'"),
    ("ZNAXIS1", "2000000000"),
    ("ZNAXIS2", "2000000000"),
    ("ZTILE1", "2000000000"),
    ("ZTILE2", "2000000000"),
    ("ZBLANK", "1000"),
    ("ZQUANTIZ", "'SUBTRACTIVE_DITHER_9'"),
    ("NAXIS2", "2147483647"),
    ("PCOUNT", "2147483647"),
    ("THEAP", "-8"),
    ("THEAP", "999999999"),
    ("TFORM1", "'1PB(2147483647)'"),
    ("TFORM1", "'1QB(99)'"),
    ("GROUPS", "T"),
    ("NAXIS3", "5"),
    ("EXTNAME", "7"),
    ("INHERIT", "T"),
)
MEANT = (
    "DATE-OBS", "EXPTIME", "IMGTYPE", "SEQNUM", "FILTER", "INSTRUME", "RA", "DEC", "ROTPA", "AIRMASS", "GAIN",
    "RDNOISE", "CCDTEMP", "OBJECT", "CTYPE1", "CTYPE2", "CRVAL1", "CRVAL2", "CRPIX1", "CD1_1", "CD2_2", "RADESYS",
    "LONPOLE", "EQUINOX", "CUNIT1", "TRIMSEC", "BIASSEC", "SATURATE", "OBJCTRA", "MJD-OBS",
)  # fmt: skip
WCS = (
    {"CD1_1": "0", "CD1_2": "0"},
    {"CD1_1": "1E-4", "CD1_2": "1E-4", "CD2_1": "1E-4", "CD2_2": "1E-4"},
    {"CD1_1": "1E9", "CD2_2": "1E9"},
    {"CD1_1": "1E-300", "CD2_2": "-1E-300"},
    {"CRVAL2": "90.0"},
    {"CRVAL2": "-90.0", "LONPOLE": "0"},
    {"CRVAL1": "720000.5"},
    {"CRPIX1": "1E12", "CRPIX2": "-1E12"},
    {"CTYPE1": "'DEC--TAN'"},
    {"CTYPE1": "'DEC--TAN'", "CTYPE2": "'RA---TAN'"},
    {"CTYPE1": "'RA---TPV'", "CTYPE2": "'DEC--TPV'", "PV1_1": "0", "PV2_1": "0"},
    {"PV1_0": "1E6", "PV2_39": "1E30"},
    {"PV1_41": "1", "PV2_99": "1"},
    {"A_ORDER": "9", "B_ORDER": "9", "A_9_0": "1E30", "B_0_9": "-1E30"},
    {"A_ORDER": "400", "B_ORDER": "2"},
    {"A_ORDER": "2", "B_ORDER": "2", "A_2_0": "1.0", "B_0_2": "-1.0"},
    {"LONPOLE": "'x'"},
    {"CDELT1": "0", "CDELT2": "0", "CD1_1": "", "CD1_2": "", "CD2_1": "", "CD2_2": ""},
    {"WCSAXES": "4"},
)


@dataclass(frozen=True)
class Mutant:
    """Damaged bytes, and what was done to them."""

    data: bytes
    what: str


def mutate_header(data: bytes, rng: Random, times: int = 0) -> Mutant:
    """Damage one to three places of a FITS header (given plain, not zipped)."""
    done = []
    for _ in range(times or int(rng.integers(1, 4))):
        name = str(rng.choice(sorted(HEADER)))
        data, detail = HEADER[name](data, rng)
        done.append(f"{name} {detail}")
    return Mutant(data, "; ".join(done))


def mutate_file(data: bytes, rng: Random) -> Mutant:
    """Damage the bytes of a file of any kind."""
    name = str(rng.choice(sorted(FILE)))
    damaged, detail = FILE[name](data, rng)
    return Mutant(damaged, f"{name} {detail}")


def _header_end(data: bytes) -> int:
    """Return where the last header of the file ends: the header with the keywords that matter."""
    ends = [i for i in range(0, min(len(data), 40 * BLOCK), CARD) if data[i : i + CARD].rstrip() == b"END"]
    return ends[-1] if ends else min(len(data), BLOCK) // CARD * CARD


def _pick(data: bytes, rng: Random) -> int:
    """Return the offset of a card that holds a value."""
    cards = [i for i in range(0, _header_end(data), CARD) if data[i + 8 : i + 10] == b"= "]
    return int(rng.choice(cards)) if cards else 0


def _keyword(data: bytes, at: int) -> str:
    return data[at : at + 8].decode("latin-1").strip()


def _replace(data: bytes, at: int, card: str | bytes) -> bytes:
    raw = card if isinstance(card, bytes) else card.encode("utf-8")
    return data[:at] + raw[:CARD].ljust(CARD) + data[at + CARD :]


def _set(data: bytes, keyword: str, value: str) -> bytes:
    """Set a card of the last header, or the last of its cards that says nothing about the file where it has none."""
    end = _header_end(data)
    places = [at for at in range(0, end, CARD) if _keyword(data, at) == keyword]
    places += [at for at in range(end - CARD, 0, -CARD) if _keyword(data, at) not in KEPT][:1]
    return _replace(data, places[0], f"{keyword:8}= {value:>20}") if places else data


def _drop(data: bytes, rng: Random) -> tuple[bytes, str]:
    at = _pick(data, rng)
    return _replace(data, at, ""), _keyword(data, at)


def _retype(data: bytes, rng: Random) -> tuple[bytes, str]:
    at, value = _pick(data, rng), str(rng.choice(np.array(VALUES, object)))
    return _replace(data, at, f"{_keyword(data, at):8}= {value:>20}"), f"{_keyword(data, at)}={value}"


def _structure(data: bytes, rng: Random) -> tuple[bytes, str]:
    keyword, value = STRUCTURE[int(rng.integers(len(STRUCTURE)))]
    return _set(data, keyword, value), f"{keyword}={value}"


def _meant(data: bytes, rng: Random) -> tuple[bytes, str]:
    keyword, value = MEANT[int(rng.integers(len(MEANT)))], str(rng.choice(np.array(VALUES, object)))
    return _set(data, keyword, value), f"{keyword}={value}"


def _wcs(data: bytes, rng: Random) -> tuple[bytes, str]:
    cards = WCS[int(rng.integers(len(WCS)))]
    for keyword, value in cards.items():
        data = _set(data, keyword, value)
    return data, str(cards)


def _spell(data: bytes, rng: Random) -> tuple[bytes, str]:
    at = _pick(data, rng)
    value = data[at + 10 : at + CARD].decode("latin-1").split("/")[0].strip().strip("'").strip()
    spellings = (
        f"' {value} '",
        f"'{value}'",
        f"{value}D0",
        value.replace(".", ","),
        f"'{value} s'",
        value.replace("'", ""),
    )
    spelled = spellings[int(rng.integers(len(spellings)))]
    return _replace(data, at, f"{_keyword(data, at):8}= {spelled:>20}"), f"{_keyword(data, at)}={spelled}"


def _long(data: bytes, rng: Random) -> tuple[bytes, str]:
    at = min(_pick(data, rng), max(0, _header_end(data) - 4 * CARD))
    keyword = _keyword(data, at)
    data = _replace(data, at, f"{keyword:8}= '{'x' * 66}&'")
    for k in range(1, 4):
        data = _replace(data, at + k * CARD, f"CONTINUE  '{'y' * 66}{'&' * (k < 3)}'")
    return data, keyword


def _non_ascii(data: bytes, rng: Random) -> tuple[bytes, str]:
    at = _pick(data, rng)
    noise = rng.integers(0, 256, int(rng.integers(1, 40)), dtype=np.uint8).tobytes()
    start = at + int(rng.integers(0, CARD - len(noise)))
    return data[:start] + noise + data[start + len(noise) :], _keyword(data, at)


def _duplicate(data: bytes, rng: Random) -> tuple[bytes, str]:
    first, second = _pick(data, rng), _pick(data, rng)
    value = str(rng.choice(np.array(VALUES, object)))
    return _replace(data, second, f"{_keyword(data, first):8}= {value:>20}"), f"{_keyword(data, first)} again"


def _continue(data: bytes, rng: Random) -> tuple[bytes, str]:
    at = _pick(data, rng)
    card = rng.choice(
        np.array(["CONTINUE  'lost&'", "CONTINUE", "CONTINUE  12", "HIERARCH ESO X Y = 'a'", "HIERARCH ="])
    )
    return _replace(data, at, str(card)), f"{card} for {_keyword(data, at)}"


def _bad_end(data: bytes, rng: Random) -> tuple[bytes, str]:
    end, kind = _header_end(data), int(rng.integers(3))
    if kind == 0:
        return _replace(data, end, ""), "missing"
    if kind == 1:
        return _replace(data, end, "END = 'not yet'"), "with a value"
    return _replace(data, _pick(data, rng), "END"), "too early"


def _shift(data: bytes, rng: Random) -> tuple[bytes, str]:
    at = _pick(data, rng)
    return _replace(data, at, data[at + 3 : at + CARD]), f"{_keyword(data, at)} moved left"


def _truncate(data: bytes, rng: Random) -> tuple[bytes, str]:
    size = int(rng.integers(0, len(data)))
    return data[:size], f"at {size} of {len(data)}"


def _truncate_at_block(data: bytes, rng: Random) -> tuple[bytes, str]:
    size = max(0, int(rng.integers(0, len(data) // BLOCK + 1)) * BLOCK + int(rng.integers(-1, 2)))
    return data[:size], f"at {size} of {len(data)}"


def _hdus(data: bytes, rng: Random) -> tuple[bytes, str]:
    """Exchange, drop or repeat whole HDUs."""
    begins = [at for at in range(0, len(data), BLOCK) if data[at : at + 8] in (b"SIMPLE  ", b"XTENSION")] + [len(data)]
    parts = [data[a:b] for a, b in pairwise(begins)]
    kind = int(rng.integers(4))
    made = (parts[::-1], parts[1:], parts * 2, [*parts, parts[-1][:BLOCK]])[kind]
    return b"".join(made), f"kind {kind} of {len(parts)}"


def _pixels(data: bytes, rng: Random) -> tuple[bytes, str]:
    """Write one value into all, or much, of the last HDU's data, or exchange their bytes."""
    start = (_header_end(data) // BLOCK + 1) * BLOCK
    kind, size = int(rng.integers(5)), len(data) - start
    if size <= 0:
        return data + b"\xff", "one byte more"
    if kind == 4:
        return data[:start] + np.frombuffer(data[start:][: size // 8 * 8], ">u4").astype(
            "<u4"
        ).tobytes(), "bytes exchanged"
    value = (b"\x00", b"\xff", b"\x7f", b"\x80")[kind]
    keep = size // 2 if rng.random() < 0.5 else 0
    return data[: start + keep] + value * (size - keep), f"{size - keep} bytes are {value!r}"


def _flip(data: bytes, rng: Random) -> tuple[bytes, str]:
    pixels = np.frombuffer(data, np.uint8).copy()
    reach = len(data) if rng.random() < 0.5 else min(len(data), 3 * BLOCK)
    places = rng.integers(0, reach, int(rng.integers(1, 200)))
    pixels[places] ^= rng.integers(1, 256, places.size, dtype=np.uint8)
    return pixels.tobytes(), f"{places.size} bytes below {reach}"


def _zero(data: bytes, rng: Random) -> tuple[bytes, str]:
    block, count = int(rng.integers(0, max(1, len(data) // BLOCK))), int(rng.integers(1, 6))
    start, stop = block * BLOCK, min(len(data), (block + count) * BLOCK)
    return data[:start] + bytes(stop - start) + data[stop:], f"blocks {block} to {block + count}"


def _swap(data: bytes, rng: Random) -> tuple[bytes, str]:
    n = max(2, len(data) // BLOCK)
    a, b = sorted(int(k) * BLOCK for k in rng.choice(n, 2, replace=False))
    first, second = data[a : a + BLOCK], data[b : b + BLOCK]
    return data[:a] + second + data[a + BLOCK : b] + first + data[b + BLOCK :], f"blocks at {a} and {b}"


def _repeat(data: bytes, rng: Random) -> tuple[bytes, str]:
    cut = int(rng.integers(0, max(1, len(data) // BLOCK))) * BLOCK
    return data[cut:] + data[:cut], f"halves exchanged at {cut}"


def _garbage(data: bytes, rng: Random) -> tuple[bytes, str]:
    noise = rng.integers(0, 256, int(rng.integers(0, 4 * BLOCK)), dtype=np.uint8).tobytes()
    return (noise + data if rng.random() < 0.3 else data + noise), f"{len(noise)} bytes of noise"


def _zip_garbage(data: bytes, rng: Random) -> tuple[bytes, str]:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=1) as stream:
        stream.write(data)
    damaged, detail = (_truncate, _flip)[int(rng.integers(2))](packed.getvalue(), rng)
    return damaged, detail


def _text(data: bytes, rng: Random) -> tuple[bytes, str]:
    kinds = (
        b"",
        b"hello\n",
        b"SIMPLE",
        b"<html>404</html>",
        bytes(2880),
        b"SIMPLE  =                    T" + b" " * 2850,
    )
    kind = int(rng.integers(len(kinds)))
    return kinds[kind], f"kind {kind}"


HEADER: dict[str, Callable[[bytes, Random], tuple[bytes, str]]] = {
    "drop": _drop, "retype": _retype, "structure": _structure, "non-ascii": _non_ascii, "duplicate": _duplicate,
    "continue": _continue, "end": _bad_end, "shift": _shift, "meant": _meant, "wcs": _wcs, "spell": _spell,
    "long": _long,
}  # fmt: skip
FILE: dict[str, Callable[[bytes, Random], tuple[bytes, str]]] = {
    "truncate": _truncate, "flip": _flip, "zero": _zero, "swap": _swap, "halves": _repeat, "garbage": _garbage,
    "gz": _zip_garbage, "text": _text, "block": _truncate_at_block, "hdus": _hdus, "pixels": _pixels,
}  # fmt: skip


def write_mutants(originals: list[Path], folder: Path, *, headers: int, files: int, seed: int) -> dict[Path, str]:
    """Write damaged copies of some files and return what was done to each."""
    folder.mkdir(parents=True, exist_ok=True)
    done = {}
    for number in range(headers + files):
        rng = np.random.default_rng([seed, number])
        source = originals[number % len(originals)]
        data = _set(source.read_bytes(), "SEQNUM", str(100 + number))  # or each would be refused as another's double
        mutant = mutate_header(data, rng) if number < headers else mutate_file(data, rng)
        ending = ".fits.gz" if mutant.what.startswith("gz") else "".join(source.suffixes)
        path = folder / f"m{number:04d}{ending}"
        path.write_bytes(mutant.data)
        done[path] = f"{source.name}: {mutant.what}"
    return done
