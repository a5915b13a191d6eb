"""What happens between the pixels and the file, undone: overscan, crosstalk, linearity, charge transfer."""
