"""What a model is: where its config comes from and what it says."""
