"""One trial from its specification to its record, alone or in a pack."""
