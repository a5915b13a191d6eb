"""The parts of `etendue.app.watch`."""
