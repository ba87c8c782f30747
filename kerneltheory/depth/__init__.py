"""Networks at large depth: phases, spectra against depth, criticality, finite width."""
