"""Kernels of networks and any function of the cosine: values, formulas, Gram matrices."""
