"""Small helpers that several tests share."""
