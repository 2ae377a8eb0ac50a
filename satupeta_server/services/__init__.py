"""The rules: who may do what, and what follows from what. No HTTP, no terminal."""
