"""Learning curves of kernel ridge regression from theory."""
