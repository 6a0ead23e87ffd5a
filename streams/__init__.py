"""How it flows: decode, load, advance, commit, publish; Faust, Kafka and the command line at the edge."""
