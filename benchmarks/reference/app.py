"""The application: the list of mapsets and a single one, for anonymous callers."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.reference import queries
from benchmarks.reference.shapes import Mapset, MapsetPage

LIST_LIMIT = 1000
POOL_SIZE = 10


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(_session)]


def make_app(database_url: str) -> FastAPI:
    """Make the application on a database."""

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(database_url)

    # It only reads, so it needs no transactions, and none of their round trips.
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        isolation_level="AUTOCOMMIT",
        pool_size=POOL_SIZE,
        max_overflow=0,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False, autoflush=False)
    app.get("/api/mapsets")(list_mapsets)
    app.get("/api/mapsets/{mapset_id}")(get_mapset)
    return app


async def list_mapsets(
    session: Session,
    filter: Annotated[list[str], Query()] = [],  # noqa: A002, B006 -- the parameter's name
    search: str = "",
    sort: str | None = None,
    limit: Annotated[int, Query(ge=0)] = LIST_LIMIT,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> MapsetPage:
    """A page of the list."""
    if sort is not None:
        raise HTTPException(401)
    words = {
        word: (await session.scalars(queries.producers(word))).all() for word in search.split()
    }
    try:
        where = queries.condition(filter, words)
    except ValueError:
        raise HTTPException(422) from None
    limit = min(limit, LIST_LIMIT)
    total = await session.scalar(queries.count(where)) or 0
    rows = (await session.scalars(queries.page(where, words, limit, offset))).all()
    has_more = offset + limit < total
    return MapsetPage(
        items=[Mapset.model_validate(row) for row in rows],
        total=total,
        limit=limit,
        offset=offset,
        has_more=has_more,
        next_cursor=queries.cursor(rows[-1]) if has_more and rows else None,
    )


async def get_mapset(mapset_id: uuid.UUID, session: Session) -> Mapset:
    """One mapset."""
    row = await session.scalar(queries.one(mapset_id))
    if row is None:
        raise HTTPException(404)
    return Mapset.model_validate(row)
