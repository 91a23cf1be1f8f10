"""Tests of the UI in a real browser: a package, so that its servers end with its last test."""
