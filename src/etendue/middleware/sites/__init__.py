"""Run quanta on clusters: what a site is, and workers inside its batch jobs, by Parsl."""
