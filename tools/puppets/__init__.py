"""Articulated figures, drawn and moved by formula, so that the truth about every pixel is known."""
