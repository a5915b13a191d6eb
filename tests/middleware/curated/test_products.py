"""Products of pipelines as dated JSON files."""

import json

import pytest
from lsst.daf.butler import Timespan

from etendue.camera.shipped import load_camera
from etendue.errors import InputError
from etendue.image.crosstalk import Coupling, Crosstalk
from etendue.middleware.curated.folder import CuratedFile

DETECTOR = load_camera("simcam4").detector(0)
NAMES = tuple(amplifier.name for amplifier in DETECTOR.amplifiers)


def kept(folder, kind, names=NAMES, text=None):
    path = folder / "20260101T000000.json"
    zeros = [[0.0] * len(names)] * len(names)
    value = {
        "etendue_type": "etendue.image.crosstalk.Crosstalk",
        "value": Crosstalk(names, Coupling.of(zeros)).to_dict(),
    }
    path.write_text(json.dumps(value) if text is None else text)
    return CuratedFile(path, kind, DETECTOR, "", Timespan(None, None))


def test_a_product_is_read_as_it_is_and_stored_as_it_is(tmp_path):
    value, as_it_is = kept(tmp_path, "crosstalk").read()
    assert as_it_is
    assert isinstance(value, Crosstalk)
    assert value.amplifiers == NAMES


@pytest.mark.parametrize(
    ("kind", "names", "text", "said"),
    [
        ("linearizer", NAMES, None, "is no linearizer"),
        ("crosstalk", ("X", "Y"), None, f"not the amplifiers of detector {DETECTOR.name}"),
        ("crosstalk", NAMES, "{", "is no crosstalk"),
        ("crosstalk", NAMES, "{}", "is no crosstalk"),
        ("crosstalk", NAMES, '{"etendue_type": "os.system", "value": {}}', "only types of etendue"),
    ],
)
def test_what_is_no_such_product_of_the_detector_is_refused_by_name(tmp_path, kind, names, text, said):
    with pytest.raises(InputError, match=said):
        kept(tmp_path, kind, names, text).read()
