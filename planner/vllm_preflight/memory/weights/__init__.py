"""What the weights take on each rank, and what loading them adds."""
