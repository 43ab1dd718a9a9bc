"""Codes of a grid, floors and ceilings, samples, oracle encoders, MINE."""
