"""What an analysis says: as words, as JSON, and as a page with figures."""
