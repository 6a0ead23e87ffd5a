"""The pure heart: what events, silence and new rules do to customers."""
