"""The ground floor: recipe, store and manifests, documents and verdicts, ledger, progress, plots.

Nothing in here knows Dagster or torch, and nothing in here imports a stage.
"""
