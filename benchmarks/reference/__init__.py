"""The stack that this system replaces, written fairly and well, to be measured beside it.

FastAPI, SQLAlchemy 2 with asyncpg, Pydantic response models, uvicorn with uvloop and httptools.
It serves the list of mapsets and a single one, to an anonymous caller, with the same JSON.
"""
