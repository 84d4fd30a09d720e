"""Run directories of pretrained models, which come with the package."""
