"""Who observed is asked for once, in one file, and never guessed."""

import pytest

from etendue.app.submission.settings import load_settings, write_template
from etendue.camera.shipped import load_camera
from etendue.errors import InputError

FILLED = """
station: "688"
submitter: A. Bcdef
observers: [A. Bcdef]
measurers: [A. Bcdef]
aperture_m: 1.07
"""


def test_a_missing_file_is_said_with_the_command_that_writes_it(tmp_path):
    with pytest.raises(InputError, match="etendue submit init"):
        load_settings(tmp_path)


def test_the_template_knows_the_camera_and_is_refused_until_filled_in(tmp_path):
    path = write_template(tmp_path, load_camera("lowell42"))
    assert '"688"' in path.read_text()
    with pytest.raises(InputError, match="not filled in: submitter"):
        load_settings(tmp_path)
    path.write_text(path.read_text().replace("aperture_m: EDIT ME", "aperture_m: 1.07").replace("EDIT ME", "A. Bcdef"))
    assert load_settings(tmp_path).station == "688"


def test_an_existing_file_is_kept(tmp_path):
    write_template(tmp_path, load_camera("lowell42"))
    with pytest.raises(InputError, match="exists"):
        write_template(tmp_path, load_camera("lowell42"))


@pytest.mark.parametrize(("line", "field"), [
    ('station: "Lowell"', "station"), ("aperture_m: -1", "aperture_m"), ("observers: []", "observers"),
    ("observatory: Lowell", "observatory"),
])  # fmt: skip
def test_wrong_fields_are_named(tmp_path, line, field):
    kept = [old for old in FILLED.strip().splitlines() if not old.startswith(field)]
    (tmp_path / "submission.yaml").write_text("\n".join([*kept, line]))
    with pytest.raises(InputError, match=field):
        load_settings(tmp_path)
