"""How fast the API answers, beside the stack that it replaces, as ratios with their bars."""
