"""The page about calibrations shows what failed first, and a picture of every product."""

import re

import numpy as np
import pytest
from click.testing import CliRunner

from etendue.app.calibration_report.report import write_calibration_report
from etendue.camera.shipped import load_camera
from etendue.cli.main import main
from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.image.crosstalk import Coupling, Crosstalk
from etendue.image.defects import Defects
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.middleware.repository import Repository
from etendue.tasks.calib.frame_check import FrameCheck
from etendue.tasks.calib.verdict import Verdict

RUN, ONE = "simcam/calib/one", {"instrument": "simcam", "detector": 0}


def _map(box, value):
    pixels = np.full(box.shape, value, np.float32) + np.linspace(0.0, 0.1, box.x.size, dtype=np.float32)
    pixels[:5] = np.nan
    plane = Image(pixels, box)
    return Exposure(image=plane, mask=Mask.empty(box), variance=plane, unit="", detector=0)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    repository = Repository.create(tmp_path_factory.mktemp("calibrations") / "repo")
    camera = load_camera("simcam")
    repository.register_camera(camera)
    detector = camera.detector(0)
    names = tuple(amplifier.name for amplifier in detector.amplifiers)
    coupling = Coupling.of(1e-4 * (1.0 - np.eye(len(names))))
    verdicts = [
        Verdict("bias", "noise of a frame", names[0], 0.02, -0.1, 0.1, "0.03 in b1.fits", 2),
        Verdict("bias", "noise of a frame", names[1], 0.3, -0.1, 0.1, "0.4 in b2.fits", 2),
        Verdict("crosstalk", "ghost left", names[0], float("nan"), -1e-5, 1e-5),
    ]
    checks = [FrameCheck("bias", "noise of a frame", f, v, n)
              for f, v in (("b1.fits", 0.01), ("b2.fits", 0.4)) for n in names]  # fmt: skip
    for what, value in (("ghost left", 2e-6), ("ghost without correction", 1e-4)):
        checks.append(FrameCheck("crosstalk", what, "s.fits", value, names[0], names[1], level=2e4))
    for value, name, storage, data_id in (
        (_map(detector.bbox, 1.0), "bias", "EtendueExposure", ONE),
        (_map(detector.bbox, 1.0), "flat", "EtendueExposure", ONE | {"physical_filter": "r_sim"}),
        (Defects((Box.from_shape((40, 1), y0=10, x0=7),)), "defects", "EtendueDefects", ONE),
        (Crosstalk(names, coupling), "crosstalk", "EtendueCalibration", ONE),
        ([one.to_dict() for one in verdicts], "calibration_verdict", "EtendueJson", ONE),
        ([one.to_dict() for one in checks], "calibration_check", "EtendueJson", ONE),
    ):
        repository.register_dataset_type(name, tuple(data_id), storage, calibration=not name.startswith("calib"))
        repository.put(value, name, data_id, run=RUN)
    return repository


@pytest.fixture(scope="module")
def page(home):
    result = CliRunner().invoke(main, ["calib", "report", str(home.path), RUN])
    assert result.exit_code == 0, result.output
    return (home.path / "calibrations.html").read_text()


def test_failures_come_first_on_the_page_and_in_each_table(page):
    overview, bias = (page.split(f'<section id="{name}">')[1].split("</section>")[0] for name in ("overview", "bias"))
    assert "2 numbers lie outside their limits" in overview
    assert re.findall(r'<td class="(passed|failed)">', overview)[:2] == ["failed", "failed"]
    assert re.findall(r'<td class="(passed|failed)">', bias) == ["failed", "passed"]
    assert "0.4 in b2.fits" in bias


def test_every_product_has_a_picture_and_the_page_loads_nothing(page):
    for name, pictures in {"bias": 2, "flat": 1, "defects": 1, "crosstalk": 2}.items():
        section = page.split(f'<section id="{name}">')[1].split("</section>")[0]
        assert section.count("data:image/png;base64,") == pictures
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_a_run_without_calibrations_and_a_bad_folder_are_named(home, tmp_path):
    with pytest.raises(InputError, match="cannot write the report"):
        write_calibration_report(home, RUN, tmp_path / "nowhere" / "c.html")
    home.put([], "calibration_verdict", ONE, run="simcam/other/one")
    with pytest.raises(InputError, match="holds no calibration"):
        write_calibration_report(home, "simcam/other/one", tmp_path / "c.html")
