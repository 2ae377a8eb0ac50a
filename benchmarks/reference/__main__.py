"""One process of the reference: ``DATABASE_URL=... PORT=... python -m benchmarks.reference``."""

import os

import uvicorn

from benchmarks.reference.app import make_app

if __name__ == "__main__":
    uvicorn.run(
        make_app(os.environ["DATABASE_URL"]),
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        lifespan="on",
    )
