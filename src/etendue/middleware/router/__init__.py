"""The data router: rules send every dataset that appears in a repository to sinks, at least once, whatever breaks."""
