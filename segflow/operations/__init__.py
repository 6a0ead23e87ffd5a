"""What an operator or analyst asks of an installation: doctor, simulate, explain, fit, produce."""
