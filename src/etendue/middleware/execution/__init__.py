"""Execution of a run: quanta in this process or in a pool of workers."""
