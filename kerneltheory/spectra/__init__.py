"""Eigenvalues of kernels on the sphere and on data sets, and the targets to learn."""
