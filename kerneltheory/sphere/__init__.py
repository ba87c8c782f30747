"""Harmonic analysis on the unit sphere S^{d-1}: multiplicities, P_k, quadrature, sampling."""
