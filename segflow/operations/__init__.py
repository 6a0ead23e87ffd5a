"""The operations of a person on an installation: doctor, simulate, explain, fit, produce."""
