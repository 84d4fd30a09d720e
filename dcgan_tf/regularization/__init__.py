"""What keeps a discriminator from overfitting: penalties on its slope, and augmentation."""
