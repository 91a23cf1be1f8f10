"""llm_assets: a factory for language models, as a data-centric Dagster asset pipeline.

From a raw crawl to a quantised model behind an API, every artefact is a software-defined asset.
The layers import downwards only: definitions → defs → stages → lm, sql → core.
"""

__version__ = "0.1.0"
