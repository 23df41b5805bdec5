"""Copies what a run records into programs in which people keep their runs."""
