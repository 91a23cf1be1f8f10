"""Documents of one's own as a crawl: each becomes a capture, so that everything downstream treats it like a page."""
