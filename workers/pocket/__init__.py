"""`pocket`: the small CLIP this project trains itself, its picture maker, recipe, weights and card."""
