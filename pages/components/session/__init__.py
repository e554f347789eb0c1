"""What one visitor has: the guard, the picture, the settings."""
