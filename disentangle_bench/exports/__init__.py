"""A trained model in files that are read without this package."""
