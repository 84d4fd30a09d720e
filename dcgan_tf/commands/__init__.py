"""The commands: each parses its flags, makes one call, and prints the result."""
