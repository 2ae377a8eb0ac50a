"""One file a command or group; each is found by its name and imported only when it is called."""
