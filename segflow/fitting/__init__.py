"""The fit of the purchase models to a population: likelihoods, their maximum, and a calibration on held-out weeks."""
