"""What a new installation starts with: reference data, a sample catalogue, its first accounts."""
