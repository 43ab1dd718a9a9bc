"""Codes of a grid, of files and of one's own encoder; floors and ceilings, samples, oracle encoders, MINE."""
