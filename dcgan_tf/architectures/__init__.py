"""The other DCGANs that the field teaches, beside the tutorial's in `models.py`."""
