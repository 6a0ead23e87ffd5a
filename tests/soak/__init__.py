"""Random mixes of all faults over a running stream, for as long as one likes; see `make soak`."""
