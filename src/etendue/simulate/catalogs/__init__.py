"""Source tables of a survey without pixels, as a perfect pipeline would write them."""
