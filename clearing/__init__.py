"""Clearing: prefunded positions, postings and settlement windows. Unaware of the directory."""
