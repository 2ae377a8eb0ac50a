"""From the parameters of a list to a query."""
