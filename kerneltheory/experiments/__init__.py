"""Theory against simulated regression."""
