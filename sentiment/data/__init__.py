"""Reviews: datasets and their files, text rules, and splits."""
