"""The simulated cluster of simulator/ held against a real control plane."""
