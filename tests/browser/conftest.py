"""A real browser, and a folder for what it sees: SCREENSHOTS keeps it."""

import os
from pathlib import Path

import pytest
from django.db import connections

from tests.factories import make_user


@pytest.fixture
def screenshots(tmp_path):
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    folder.mkdir(exist_ok=True, parents=True)
    return folder


@pytest.fixture
def browser(require, monkeypatch):
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    program = require("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()
        # Playwright's event loop gave this thread connections of its own, which would outlive the test database.
        connections.close_all()


@pytest.fixture
def cookie(client, workspace, live_server):
    """The session of an owner who has logged in."""
    client.force_login(make_user("olga", role="owner", workspace=workspace))
    session = client.cookies["sessionid"].value
    return {"name": "sessionid", "value": session, "url": live_server.url}
