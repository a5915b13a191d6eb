"""A whole data release from one YAML file: forecast, executed, resumed, accounted for."""
