"""``satupeta user reset-link``: a link that sets a new password, once."""

from pathlib import Path

import pytest

from tests.cli.conftest import USAGE, Satupeta
from tests.conftest import Answer, Api
from tests.world import PASSWORD

NEW_PASSWORD = "Sandi-Baru-2026!"


def link_for(configured: Satupeta, username: str) -> str:
    """The link that the command prints."""
    ended = configured("user", "reset-link", username)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


async def set_password(api: Api, link: str, password: str = NEW_PASSWORD) -> Answer:
    """Do what the page behind the link does."""
    token = link.partition("#")[2]
    return await api.post("/auth/password-reset", json_body={"token": token, "password": password})


async def can_log_in(api: Api, username: str, password: str) -> bool:
    body = {"username": username, "password": password}
    return (await api.post("/auth/login", json_body=body)).status == 200


async def test_a_link_sets_a_password_once(api: Api, configured: Satupeta) -> None:
    link = link_for(configured, "pengelola")
    page, _, token = link.partition("#")
    assert page.endswith("/api/auth/password-reset/page")
    assert len(token) >= 40
    assert (await api.get("/auth/password-reset/page")).status == 200
    assert (await set_password(api, link, "lemah")).status == 422
    assert (await set_password(api, link)).status == 204
    assert await can_log_in(api, "pengelola", NEW_PASSWORD)
    assert not await can_log_in(api, "pengelola", PASSWORD)
    assert (await set_password(api, link, PASSWORD)).status == 401
    assert await can_log_in(api, "pengelola", NEW_PASSWORD)


async def test_a_newer_link_ends_the_older(api: Api, configured: Satupeta) -> None:
    older, newer = link_for(configured, "viewer"), link_for(configured, " VIEWER ")
    assert (await set_password(api, older)).status == 401
    assert (await set_password(api, newer)).status == 204


def test_the_link_leads_where_users_reach_the_api_and_stands_nowhere_else(
    configured: Satupeta, tmp_path: Path
) -> None:
    configured.environment["PUBLIC_URL"] = "https://peta.example.org/"
    page, _, token = link_for(configured, "walidata").partition("#")
    assert page == "https://peta.example.org/api/auth/password-reset/page"
    assert configured.environment["DATA_DIR"].startswith(str(tmp_path))
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes()


@pytest.mark.parametrize("username", ["system", "%"])
def test_who_is_not_known_is_one_sentence(configured: Satupeta, username: str) -> None:
    said = configured.refusal("user", "reset-link", username, code=USAGE)
    assert "There is no user" in said


async def test_who_is_not_active_gets_no_link(api: Api, configured: Satupeta) -> None:
    path = f"/users/{api.world.users['viewer']}"
    await api.patch(path, user="administrator", json_body={"is_active": False})
    said = configured.refusal("user", "reset-link", "viewer", code=USAGE)
    assert "There is no active user" in said
