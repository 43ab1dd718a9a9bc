"""Many trials: planned, launched on Ray, watched, compared, searched."""
