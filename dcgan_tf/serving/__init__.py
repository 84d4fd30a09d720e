"""What takes a generator out of the project: a web page with an HTTP API, and exported models."""
