"""Random changes to every image that the discriminator sees, so that few images last longer."""
