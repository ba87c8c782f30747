"""Kernel ridge regression itself; it knows no theory."""
