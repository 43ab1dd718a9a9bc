"""Images drawn for people: traversals, samples, a dataset."""
