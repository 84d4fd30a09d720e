"""The commands: each turns flags into one call, and prints what came of it."""
