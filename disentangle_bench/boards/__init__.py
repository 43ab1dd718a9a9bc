"""Records to tables, statistics and pictures."""
