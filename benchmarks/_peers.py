"""Packages that only a benchmark needs, fetched with pip into a temporary folder at the first run.

They stand before the installed ones on the path of the peer's process alone: datatrove's MinHash needs an older xxhash than
the rest of the project, and its word tokenizer for English needs spaCy.
"""

import os
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

XXHASH = ("xxhash==3.8.2",)
WARC = ("faust-cchardet==2.1.19", "python-magic==0.4.27")  # what datatrove's WarcReader imports
FASTTEXT = ("fasttext-numpy2-wheel==0.9.2",)  # the distribution that datatrove's LanguageFilter asks for
DATASKETCH = ("datasketch==2.0.0",)
SPACY = (  # what spacy.blank("en") and its sentencizer import, without what is installed here anyway
    "spacy==3.8.18",
    "catalogue==2.0.10",
    "confection==1.3.4",
    "cymem==2.0.16",
    "murmurhash==1.0.16",
    "preshed==3.0.15",
    "spacy-legacy==3.0.12",
    "spacy-loggers==1.0.5",
    "srsly==2.5.6",
    "thinc==8.3.14",
    "wasabi==1.1.3",
    "weasel==1.0.1",
    "blis==1.3.4",
    "cloudpathlib==0.26.0",
    "smart_open==9.0.2",
    "wrapt==2.5.2",
)


def packages(*wanted: str) -> Path:
    """A folder with these packages (name==version), and none that they need."""
    named = sha256(" ".join(wanted).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / "llm_assets-benchmark-peers" / named
    if not folder.is_dir():
        fetched = folder.with_name(f"{named}.{os.getpid()}")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(fetched), *wanted]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        fetched.rename(folder)
    return folder


def environment(folder: Path | None) -> dict[str, str]:
    """The environment of a process that finds the packages of ``folder`` first."""
    search = os.pathsep.join(filter(None, (str(folder or ""), os.environ.get("PYTHONPATH", ""))))
    return {**os.environ, "PYTHONPATH": search}
