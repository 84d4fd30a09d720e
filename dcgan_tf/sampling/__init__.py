"""Images from a trained generator: their noise, by seed and index, and the generator of a run."""
