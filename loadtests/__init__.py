"""Load on a running country, over the wire only."""
