"""Everything that a CCD does, in one specification."""

from etendue.simulate.ccd.bias import BiasSpec
from etendue.simulate.ccd.brighter_fatter import BrighterFatterSpec
from etendue.simulate.ccd.charge_transfer import TransferSpec
from etendue.simulate.ccd.cosmic_rays import CosmicRaySpec
from etendue.simulate.ccd.crosstalk import CrosstalkSpec
from etendue.simulate.ccd.dark import DarkSpec
from etendue.simulate.ccd.defects import DefectsSpec
from etendue.simulate.ccd.diffusion import DiffusionSpec
from etendue.simulate.ccd.effect import EffectSpec
from etendue.simulate.ccd.electronics import ConverterSpec, GainSpec, ReadNoiseSpec
from etendue.simulate.ccd.fringing import FringeBand, FringingSpec
from etendue.simulate.ccd.full_well import FullWellSpec
from etendue.simulate.ccd.linearity import LinearitySpec
from etendue.simulate.ccd.response import ResponseSpec
from etendue.simulate.ccd.tree_rings import TreeRingSpec


class CcdSpec(EffectSpec):
    """Effects of a CCD in the order in which they act; one that is None is off exactly."""

    fringing: FringingSpec | None = None
    """Fringes of the night sky."""

    tree_rings: TreeRingSpec | None = None
    """Radial displacement of charge."""

    diffusion: DiffusionSpec | None = None
    """Diffusion of charge."""

    response: ResponseSpec | None = None
    """Pixel response non-uniformity."""

    defects: DefectsSpec | None = None
    """Dead and hot pixels and columns, traps."""

    dark: DarkSpec | None = None
    """Dark current and hot pixels."""

    brighter_fatter: BrighterFatterSpec | None = None
    """Boundaries of pixels that follow the charge."""

    shot_noise: bool = True
    """Whether electrons are counted: Poisson noise of light and dark current."""

    cosmic_rays: CosmicRaySpec | None = None
    """Ionising particles."""

    full_well: FullWellSpec | None = None
    """Saturation with blooming."""

    parallel_transfer: TransferSpec | None = None
    """Charge-transfer inefficiency of the columns."""

    serial_transfer: TransferSpec | None = None
    """Charge-transfer inefficiency of the serial registers."""

    linearity: LinearitySpec | None = None
    """Non-linearity of the amplifiers."""

    gain: GainSpec | None = None
    """How the true gains differ from the camera's."""

    crosstalk: CrosstalkSpec | None = None
    """Crosstalk between the amplifiers."""

    bias: BiasSpec | None = None
    """Bias level, structure and drifts; None is a level of 0."""

    read_noise: ReadNoiseSpec | None = None
    """Read noise."""

    converter: ConverterSpec = ConverterSpec()
    """Analogue-to-digital converter."""

    @classmethod
    def everything(cls) -> "CcdSpec":
        """Return all effects at their default sizes, fringes in z and y.

        Returns
        -------
        CcdSpec
        """
        bands = {
            "z": FringeBand(amplitude=0.004, wavelength_nm=890.0),
            "y": FringeBand(amplitude=0.02, wavelength_nm=980.0),
        }
        return cls(
            fringing=FringingSpec(bands=bands),
            tree_rings=TreeRingSpec(),
            diffusion=DiffusionSpec(),
            response=ResponseSpec(),
            defects=DefectsSpec(),
            dark=DarkSpec(),
            brighter_fatter=BrighterFatterSpec(),
            cosmic_rays=CosmicRaySpec(),
            full_well=FullWellSpec(),
            parallel_transfer=TransferSpec(inefficiency=2e-7),
            serial_transfer=TransferSpec(inefficiency=1e-6, trap_electrons=5.0),
            linearity=LinearitySpec(),
            gain=GainSpec(),
            crosstalk=CrosstalkSpec(),
            bias=BiasSpec(),
            read_noise=ReadNoiseSpec(),
        )
