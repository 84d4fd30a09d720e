"""The latent space: interpolation, arithmetic, projection, guided backpropagation."""
