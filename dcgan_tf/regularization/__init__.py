"""Discriminator regularization: penalties, augmentation, spectral norm, PacGAN."""
