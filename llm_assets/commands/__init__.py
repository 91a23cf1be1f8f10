"""What the command line does, a module a command; ``cli.py`` only parses.

These sit on top of the Dagster definitions: a run from here is a run in the instance that the UI shows.
"""
