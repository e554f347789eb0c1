"""What a visitor reads and looks at."""
