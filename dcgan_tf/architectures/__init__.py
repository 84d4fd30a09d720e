"""Other common DCGAN architectures; the tutorial's is in `models.py`."""
