"""What a network is made of, and what it shows of itself."""
