"""Who may do what, and how it is proven."""
