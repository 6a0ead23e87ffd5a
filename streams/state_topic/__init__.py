"""`segments.state`: reading it, copying it into a store, filling it with what a store had before."""
