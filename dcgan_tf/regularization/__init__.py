"""What keeps the discriminator in bounds: penalties, augmentation, packs of images."""
