"""A generator in use: in Python, on a web page with an HTTP API, and as exported models."""
