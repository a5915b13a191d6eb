"""Rubin's pipetask sees the overrides that our executor sees."""

import subprocess
import sys
from pathlib import Path

import pytest

import etendue.stages
from etendue.camera.shipped import load_camera
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.repository import Repository
from etendue.simulate.surveys.write import write_survey
from small_surveys import small_survey

PRODUCTS = ["bias", "defects"]


@pytest.mark.slow
def test_pipetask_leaves_out_the_frames_that_people_excluded(tmp_path):
    write_survey(small_survey("r", bias=4, stars=0.0), tmp_path / "frames")
    home = Repository.create(tmp_path / "repo")
    home.register_camera(load_camera("simcam"))
    home.ingest(sorted((tmp_path / "frames" / "bias").iterdir()))
    inputs = ["simcam/defaults"]
    run_pipeline(home, "calib", inputs=inputs, output="ours/all", workers=1, progress=False)
    (home.path / "overrides.yaml").write_text("bad_frames: [{frame: '*02_000', reason: light leak}]\n")
    assert len(home.apply_overrides()) == 1
    run_pipeline(home, "calib", inputs=inputs, output="ours/some", workers=1, progress=False)
    command = [
        str(Path(sys.executable).with_name("pipetask")), "run", "-b", home.root, "-i", *inputs, "-o", "stock/calib",
        "-p", str(Path(etendue.stages.__file__).with_name("pipelines") / "calib.yaml"), "--register-dataset-types",
        "--no-raise-on-partial-outputs",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    ours = content_hashes(home, "ours/some", PRODUCTS)
    assert content_hashes(Repository.open(home.path), "stock/calib", PRODUCTS) == ours
    assert content_hashes(home, "ours/all", PRODUCTS) != ours
