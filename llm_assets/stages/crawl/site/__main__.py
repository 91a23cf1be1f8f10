"""``python -m llm_assets.stages.crawl.site --port 8899``: the local site, for a person to look at or the crawler to crawl."""

import argparse
import asyncio
import errno
import json
import os
import sys

from llm_assets.core.recipe.crawl import SiteConfig
from llm_assets.stages.crawl.site.pages import Site
from llm_assets.stages.crawl.site.plan import MIRROR, PRESS, Plan
from llm_assets.stages.crawl.site.server import serve


async def _run(site: Site, port: int, until_stdin_closes: bool) -> None:
    server = await serve(site, port)
    actual = server.sockets[0].getsockname()[1]
    if not until_stdin_closes:
        print(f"{len(site.articles):,} articles at http://127.0.0.1:{actual}/ (Ctrl-C ends it)", flush=True)
        print(f"the other hosts: curl -H 'Host: {PRESS}' http://127.0.0.1:{actual}/, and {MIRROR}", flush=True)
        await server.serve_forever()
    print(json.dumps({"port": actual, "articles": len(site.articles)}), flush=True)
    # Whoever started us holds our standard input; when they die, it closes.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    os._exit(0)


def main() -> int:
    """Parse the arguments and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m llm_assets.stages.crawl.site", description=__doc__)
    parser.add_argument("--port", type=int, default=8899, help="0 takes a free one")
    parser.add_argument("--snapshot", type=int, default=1, choices=(1, 2))
    parser.add_argument("--config", default="{}", help="raw_crawl.site as JSON")
    parser.add_argument("--until-stdin-closes", action="store_true", help="for a parent process: one line of JSON, then serve")
    chosen = parser.parse_args()
    site = Site(Plan.of(SiteConfig.model_validate_json(chosen.config), chosen.snapshot))
    try:
        asyncio.run(_run(site, chosen.port, chosen.until_stdin_closes))
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        print(f"port {chosen.port} is taken; choose another with --port, or 0 for a free one", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
