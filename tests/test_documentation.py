"""What the documentation lists is what there is."""

import ast
import re
from pathlib import Path

import pytest
from django.urls import get_resolver

from tests.processes import ROOT
from webhooks.api import urls
from webhooks.conf import KEYS, Settings

DOCS = ROOT / "docs"


def test_every_setting_stands_in_the_documentation_with_its_default():
    rows = re.findall(r"^\| `([A-Z_]+)` \| `(.+?)` \|", (DOCS / "settings.md").read_text(), re.MULTILINE)
    assert len(rows) == len(KEYS)
    assert {name: ast.literal_eval(default) for name, default in rows} == {
        name: vars(Settings)[name] for name in KEYS
    }


def test_every_module_stands_in_the_structure():
    named = re.findall(r"^\| `([\w./]+\.py)` \|", (DOCS / "structure.md").read_text(), re.MULTILINE)
    package = ROOT / "webhooks"
    modules = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if "migrations" not in path.parts and path.read_text().strip()
    }
    assert sorted(named) == sorted(modules)


def test_every_endpoint_stands_in_the_documentation():
    text = (DOCS / "api.md").read_text()
    routes = {name: get_resolver(urls.__name__).reverse_dict.getlist(name) for name in ROUTES}
    for name, documented in ROUTES.items():
        assert routes[name], name
        assert f"`{documented}`" in text
    named = {pattern.name for pattern in urls.router.urls if "format" not in str(pattern.pattern)}
    assert named <= {*ROUTES, "api-root"}


@pytest.mark.parametrize("page", sorted([ROOT / "README.md", *DOCS.glob("*.md")]), ids=lambda path: path.name)
def test_every_link_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("http") or (Path(page).parent / target).exists(), target


def test_every_test_that_the_documentation_names_is_there():
    text = (DOCS / "crash-safety.md").read_text()
    named = re.findall(r"`((?:chaos/)?test_\w+\.py)`: ((?:`test_\w+`(?:, )?)+)", text)
    assert named
    for file, names in named:
        present = set(re.findall(r"def (test_\w+)\(", (ROOT / "tests" / file).read_text()))
        assert set(re.findall(r"test_\w+", names)) <= present, file


ROUTES = {
    "token": "POST token/",
    "webhook-list": "GET webhooks/",
    "webhook-detail": "PATCH webhooks/<id>/",
    "webhook-rotate-secret": "POST webhooks/<id>/rotate-secret/",
    "webhook-finish-rotation": "POST webhooks/<id>/finish-rotation/",
    "webhook-resume": "POST webhooks/<id>/resume/",
    "webhook-recover": "POST webhooks/<id>/recover/",
    "delivery-list": "GET deliveries/",
    "delivery-detail": "GET deliveries/<id>/",
    "delivery-redeliver": "POST deliveries/<id>/redeliver/",
    "event-list": "GET events/",
    "event-detail": "GET events/<id>/",
    "event-type-list": "GET event-types/",
    "event-type-detail": "GET event-types/<name>/",
}
