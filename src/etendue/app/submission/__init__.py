"""Files for the Minor Planet Center and the Transient Name Server, for a person to check and send."""
