"""The Dagster skin: thin modules that turn specs into assets, checks, jobs, sensors and schedules.

Nothing heavy is imported here; a test holds that.
"""
