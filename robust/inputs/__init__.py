"""What comes in: files, pictures and arrays, to images as the nets take them."""
