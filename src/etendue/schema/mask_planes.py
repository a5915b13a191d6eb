"""The mask planes and their bits, the same in every file and every image."""

MASK_PLANES: dict[str, int] = {
    "BAD": 0,
    "SAT": 1,
    "INTRP": 2,
    "CR": 3,
    "EDGE": 4,
    "DETECTED": 5,
    "DETECTED_NEGATIVE": 6,
    "SUSPECT": 7,
    "NO_DATA": 8,
    "STREAK": 9,
    "SPIKE": 10,
    "HIGH_VARIANCE": 11,
    "CLIPPED": 12,
    "CROSSTALK": 13,
    "INEXACT_PSF": 14,
    "INJECTED": 15,
    "VIGNETTED": 16,
    "GHOST": 17,
    "HALO": 18,
}
"""Bit number of each plane; numbers are never reused, so old masks keep their meaning."""

MASK_PLANE_DOCS: dict[str, str] = {
    "BAD": "The detector is defective here.",
    "SAT": "Saturated, or hit by the bleed of a saturated pixel.",
    "INTRP": "The value was interpolated from neighbours.",
    "CR": "Hit by a cosmic ray.",
    "EDGE": "Too near the edge for the convolution that was applied.",
    "DETECTED": "Part of a positive footprint.",
    "DETECTED_NEGATIVE": "Part of a negative footprint.",
    "SUSPECT": "Near saturation, or corrected by an uncertain amount.",
    "NO_DATA": "No exposure covers this pixel.",
    "STREAK": "Crossed by a satellite or aircraft trail.",
    "SPIKE": "On a diffraction spike of a bright star.",
    "HIGH_VARIANCE": "The variance is far above that of the surroundings.",
    "CLIPPED": "At least one exposure was rejected here.",
    "CROSSTALK": "Corrected for crosstalk of a bright pixel of another amplifier.",
    "INEXACT_PSF": "Not every exposure contributes, so the PSF model is inexact.",
    "INJECTED": "A synthetic source was added here.",
    "VIGNETTED": "Little of the pupil is seen from here.",
    "GHOST": "In the defocused reflection of a bright star.",
    "HALO": "In the halo of a bright star.",
}
"""One sentence for each plane."""
