"""Drawing images: the noise for a seed and index, and the generator of a run."""
