"""Parser processes that misbehave. ``python -m tests.support.parsers MODE LIMITS`` speaks the protocol of the real one."""

import json
import os
import signal
import sys
import time

from llm_assets.stages.extract.html import Page
from llm_assets.stages.extract.parser import READY


def main(mode: str) -> None:
    if mode == "never":
        sys.exit("there is no parser here")
    print(READY.decode(), flush=True)
    for line in sys.stdin.buffer:
        job = json.loads(line)
        if "bad" in job["url"]:
            if mode == "dies":
                os.kill(os.getpid(), signal.SIGSEGV)
            if mode == "ended":
                os.kill(os.getpid(), signal.SIGTERM)
            if mode == "lingers":
                os.close(sys.stdout.fileno())
                time.sleep(1.2)
                os.kill(os.getpid(), signal.SIGSEGV)
            if mode == "leaves":
                sys.exit(3)
            if mode == "silent":
                sys.stdin.buffer.read()
            if mode == "skips":
                continue
        fields = vars(Page())
        text = "half \ud835 pair" if mode == "surrogate" else f"text of {job['url']}"
        found = {"number": job["number"], **fields, "text": text, "charset": "utf-8", "charset_source": "http"}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
