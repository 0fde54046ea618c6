"""A run: its recipe, its folder, its checkpoint, and its parts."""
