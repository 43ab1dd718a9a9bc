"""The commands: thin, over the package."""
