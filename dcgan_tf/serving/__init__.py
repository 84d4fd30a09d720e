"""Using a generator: in Python, on a web page with an HTTP API, and as an exported model."""
