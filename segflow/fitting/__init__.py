"""Fitting the purchase models to a population: likelihoods, and how well the fit foretells what was held out."""
