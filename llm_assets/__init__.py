"""llm_assets: a factory for language models, as a data-centric Dagster asset pipeline.

From a raw crawl to a quantised model behind an API, every artefact is a software-defined asset.
The layers import downwards only: definitions → defs → stages → lm, sql → core.
"""

import os

# Read by the OpenMP library when torch is imported, so it must stand before that. By default waiting threads spin: with another
# busy process beside it, a training step on two cores took 7 s instead of 0.26 s.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
