"""Time of each step of the electronics on the 16 amplifiers of an LSSTCam detector, and the memory-bandwidth limit."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

REPEATS = 5


def best(prepare: Callable[[], Any], run: Callable[[Any], Any]) -> float:
    """Return the shortest CPU time of some runs [s]."""
    times = []
    for _ in range(REPEATS):
        thing = prepare()
        begin = time.process_time()
        run(thing)
        times.append(time.process_time() - begin)
    return min(times)


def frame() -> Any:
    """Return the segments of a raw frame of 18 bits."""
    from etendue.camera.segments import Segments
    from etendue.camera.shipped import load_camera

    detector = load_camera("lsstcam").detector(0)
    rng = np.random.default_rng(1)
    raw = rng.normal(25000.0, 5.0, detector.raw_shape)
    for amplifier in detector.amplifiers:
        raw[amplifier.raw_data.slices_in(detector.raw_bbox)] += rng.gamma(1.0, 2000.0)
    return Segments.of(np.rint(raw).astype(np.int32), detector)


def speed() -> dict[str, Any]:
    from etendue.camera.segments import Segments
    from etendue.image.charge_transfer import AmplifierTransfer, ChargeTransfer, TransferLoss
    from etendue.image.crosstalk import Coupling, Crosstalk
    from etendue.tasks.isr.amp_offset import LevelAmplifiersTask
    from etendue.tasks.readout.charge_transfer import CorrectChargeTransferConfig, CorrectChargeTransferTask
    from etendue.tasks.readout.crosstalk import CorrectCrosstalkTask
    from etendue.tasks.readout.dead import dead_amplifiers
    from etendue.tasks.readout.overscan import SubtractOverscanConfig, SubtractOverscanTask
    from etendue.tasks.readout.parallel_overscan import SubtractParallelOverscanConfig, SubtractParallelOverscanTask

    whole = frame()
    detector = whole.detector
    names = tuple(a.name for a in detector.amplifiers)
    linear = 1e-4 * (1.0 - np.eye(16))
    straight, bent = (Crosstalk(names, Coupling.of(linear, q * linear)) for q in (0.0, 1e-6))
    loss = TransferLoss(1e-6, trap_electrons=5.0)
    losses = ChargeTransfer(tuple(AmplifierTransfer(name, loss, loss) for name in names))

    def fresh() -> Segments:
        return Segments(whole.array.copy(), detector)

    def transfer(serial: bool) -> Callable[[Segments], None]:
        config = CorrectChargeTransferConfig(serial=serial, parallel=not serial)
        return lambda segments: CorrectChargeTransferTask(config).run(segments, losses)

    trimmed, bad = whole.assemble(), np.zeros(detector.bbox.shape, bool)
    steps: dict[str, Callable[[Segments], Any]] = {
        "recognise dead amplifiers": dead_amplifiers,
        "overscan, spline": SubtractOverscanTask().run,
        "overscan, running median": SubtractOverscanTask(SubtractOverscanConfig(method="running_median")).run,
        "crosstalk, linear": lambda segments: CorrectCrosstalkTask().run(segments, straight),
        "crosstalk, linear and quadratic": lambda segments: CorrectCrosstalkTask().run(segments, bent),
        "parallel overscan, spline": SubtractParallelOverscanTask(SubtractParallelOverscanConfig(method="spline")).run,
        "charge transfer, serial": transfer(serial=True),
        "charge transfer, parallel": transfer(serial=False),
        "steps between amplifiers": lambda _: LevelAmplifiersTask().run(trimmed, bad, detector),
        "limit: one pass over the segments": lambda segments: np.add(
            segments.array, np.float32(1.0), out=segments.array
        ),
    }
    for step in steps.values():
        step(fresh())
    seconds = {name: best(fresh, step) for name, step in steps.items()}
    return {
        "detector": f"lsstcam {detector.name}",
        "pixels": int(whole.array.size),
        "repeats": REPEATS,
        "cpu_s": seconds,
    }
