"""Moving objects: linking detections of one night, fitting tracks, reporting them."""
