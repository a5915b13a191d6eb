"""When and how the sky is looked at: cadence and conditions."""
