"""Association of difference-image detections into objects."""
