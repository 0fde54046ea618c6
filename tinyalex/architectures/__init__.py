"""The networks, one line a layer, and what the experiments change in them."""
