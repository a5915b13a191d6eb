"""Look at runs that go on or have ended: how far they are, what a quantum wrote, why it ended as it did."""
