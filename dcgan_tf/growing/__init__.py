"""Models that grow to larger images: new layers are faded in beside the old ones."""
