"""The pages, in a real browser, under the policies that they are sent with."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import Api
from tests.handlers.test_files import picture

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine")

PAGES = {
    "/": "Sehat",
    "/docs": "/mapsets",
    "/statistics/page": "Time of verification",
    "/auth/password-reset/page": "Tautan ini tidak lengkap",
    "/auth/password-reset/page#a-secret": "Kata sandi baru",
}


async def browsed(address: str, folder: Path) -> tuple[str, list[str]]:
    """The page as it stands once its scripts have run, and what the browser's console said."""
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--enable-logging=stderr",
        f"--user-data-dir={folder}",
        "--virtual-time-budget=10000",
        "--dump-dom",
    ]
    process = await asyncio.create_subprocess_exec(
        str(BROWSER),
        *options,
        address,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(50):
            page, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    console = re.findall(r"CONSOLE.*", said.decode(errors="replace"))
    # What begins so is advice for password managers.
    return page.decode(), [line for line in console if "[DOM]" not in line]


@pytest.mark.long
@pytest.mark.parametrize("path", PAGES)
async def test_a_page_works_and_breaks_no_policy_of_its_own(
    api: Api, path: str, tmp_path: Path
) -> None:
    page, console = await browsed(f"{api.base}{path}", tmp_path)
    assert PAGES[path] in page
    assert console == []
    assert "a-secret" not in page


@pytest.mark.long
async def test_a_picture_shows_on_a_page_of_another_origin(api: Api, tmp_path: Path) -> None:
    file = (await api.upload(picture(), "a.png")).json
    address = f"{api.base}/files/{file['id']}/download"
    page = tmp_path / "portal.html"
    script = "onload = () => { document.title = document.images[0].naturalWidth + ' wide'; }"
    page.write_text(f"<img src='{address}'><script>{script}</script>", encoding="utf-8")
    shown, console = await browsed(page.as_uri(), tmp_path)
    assert "<title>8 wide</title>" in shown
    assert console == []


@pytest.mark.long
async def test_a_picture_that_is_also_a_script_runs_as_neither(api: Api, tmp_path: Path) -> None:
    content = picture("GIF") + b"\n*/=1;document.title='ran';<script>document.title='ran'</script>"
    file = (await api.upload(content, "a.gif")).json
    address = f"{api.base}/files/{file['id']}/download"
    shown, _ = await browsed(address, tmp_path)
    assert "<img" in shown
    page = tmp_path / "evil.html"
    page.write_text(f"<title>x</title><script src='{address}'></script>", encoding="utf-8")
    shown, console = await browsed(page.as_uri(), tmp_path)
    assert "<title>x</title>" in shown
    assert "MIME type" in " ".join(console)
