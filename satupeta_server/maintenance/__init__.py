"""What keeps a running system well: it is looked at, copied and cleaned from the terminal."""
