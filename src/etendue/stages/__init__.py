"""Steps of a survey: they compose tasks and name the datasets."""
