"""The training loop, a step's engine, numerics, checkpoints, and images on a device."""
