"""Customer segments kept up to date in real time: purchases and interactions in, segment changes out."""
