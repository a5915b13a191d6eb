"""The shipped camera descriptions, one YAML file each."""
