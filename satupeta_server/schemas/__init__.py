"""What a body may hold, as Cerberus schemas."""
