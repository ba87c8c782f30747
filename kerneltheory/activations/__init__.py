"""The nonlinearities, and their duals derived and certified."""
