import hashlib

import pytest

from etendue.errors import InputError
from etendue.middleware.ingest.intake import IntakeRules
from etendue.middleware.ingest.manifest import Manifest
from tiny_frames import write_tiny


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
@pytest.mark.parametrize("form", ["{digest}  {name}", "{digest} *{name}", "{tag} ({name}) = {digest}"])
def test_lists_of_the_usual_tools_are_read_and_hold(tmp_path, algorithm, form):
    path = tmp_path / "a b.fits"
    path.write_bytes(b"pixels")
    digest = hashlib.new(algorithm, b"pixels").hexdigest()
    listed = tmp_path / "SUMS"
    listed.write_text("# night 1\n" + form.format(digest=digest, name=path.name, tag=algorithm.upper()) + "\n")
    Manifest.read((listed,)).check(str(path))
    path.write_bytes(b"pixelz")
    with pytest.raises(InputError, match=f"its {algorithm} is not the one of its delivery"):
        Manifest.read((listed,)).check(str(path))


def test_what_is_no_checksum_is_named_with_its_line(tmp_path):
    listed = tmp_path / "SUMS"
    listed.write_text(f"{'0' * 64}  a.fits\nfrom here on: nothing\n")
    with pytest.raises(InputError, match=r"SUMS, line 2.*is no checksum"):
        Manifest.read((listed,))


def test_files_in_no_list_and_changed_files_are_refused(home, tmp_path):
    good, changed, unlisted = (write_tiny(tmp_path / "raw", seq) for seq in (1, 2, 3))
    listed = tmp_path / "raw" / "SHA256SUMS"
    listed.write_text("".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in (good, changed)))
    write_tiny(tmp_path / "raw", 2, value=7)
    rules = IntakeRules(manifest=Manifest.read((listed,)))
    first, second, third = home.ingest([good, changed, unlisted], camera="tiny", rules=rules)
    assert first.status == "ingested"
    assert "its sha256 is not the one of its delivery" in second.reason
    assert "is in no list of checksums" in third.reason


def test_a_flipped_bit_is_found_by_the_cards_of_the_file(home, tmp_path):
    good = write_tiny(tmp_path / "raw", 1, checksum=True)
    bad = write_tiny(tmp_path / "raw", 2, checksum=True)
    plain = write_tiny(tmp_path / "raw", 3)
    content = bytearray(bad.read_bytes())
    content[2880 * 2 - 1000] ^= 1
    bad.write_bytes(content)
    outcomes = home.ingest([good, bad, plain], camera="tiny", rules=IntakeRules(verify=True))
    assert [o.status for o in outcomes] == ["ingested", "refused", "ingested"]
    assert "verification failed" in outcomes[1].reason
