"""Light curves: ensemble photometry, trends, variability, periods and transits."""
