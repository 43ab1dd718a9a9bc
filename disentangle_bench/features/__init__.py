"""What judges images: Inception, a random network, the nearest image."""
