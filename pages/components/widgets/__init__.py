"""What a visitor moves: components with JavaScript of their own."""
