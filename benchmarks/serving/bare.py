"""A bare Tornado handler: the same bytes with the same type, and nothing else; no log either.

``python -m benchmarks.serving.bare PAGES PORT``, where PAGES is a JSON file of path to body and
content type.
"""

import asyncio
import sys
from pathlib import Path

import orjson
import tornado.web


class Page(tornado.web.RequestHandler):
    """Looks the answer up by the whole address."""

    def initialize(self, pages: dict[str, tuple[bytes, str]]) -> None:
        """Take the pages."""
        self.pages = pages

    def get(self) -> None:
        """Answer one."""
        body, kind = self.pages[self.request.uri or ""]
        self.set_header("Content-Type", kind)
        self.finish(body)

    def compute_etag(self) -> None:
        """No tag: Tornado would hash each answer."""


async def serve(pages: dict[str, tuple[bytes, str]], port: int) -> None:
    """Serve until a signal ends the process."""
    rules = [(r".*", Page, {"pages": pages})]
    app = tornado.web.Application(rules, log_function=lambda _handler: None)
    app.listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    texts = orjson.loads(Path(sys.argv[1]).read_bytes())
    kept = {path: (body.encode(), kind) for path, (body, kind) in texts.items()}
    asyncio.run(serve(kept, int(sys.argv[2])))
