"""What a project hears on its first day: one sentence, before anything else fails."""

import os
import re
import subprocess
import sys
from textwrap import dedent

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.processes import ROOT
from webhooks.catalogue import connect_model
from webhooks.models import Webhook


def checked(folder, changes):
    """Run `manage.py check` of a project whose settings differ from the tests' by `changes`; return its last words."""
    (folder / "first_day.py").write_text("from tests.settings import *\n" + dedent(changes))
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "first_day",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
    }
    command = [sys.executable, "-m", "django", "check"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", ["teams.Team", "shop.Team", "Team"])
def test_a_wrong_workspace_model_is_named(tmp_path, name):
    code, output = checked(tmp_path, f"WEBHOOKS_WORKSPACE_MODEL = {name!r}")
    assert code != 0
    assert output.strip().splitlines()[-1] == (
        f"django.core.exceptions.ImproperlyConfigured: WEBHOOKS_WORKSPACE_MODEL names {name}, which no installed "
        'app has: set it to your tenant model, as "app_label.ModelName".'
    )


@pytest.mark.parametrize("without_admin", [False, True])
def test_a_missing_workspace_model_is_named(tmp_path, without_admin):
    left_out = ["workspace", "project", "tests.swapped", *(["django.contrib.admin"] if without_admin else [])]
    changes = f"""
        INSTALLED_APPS = [app for app in INSTALLED_APPS if app not in {left_out}]
        WEBHOOKS = {{}}
    """
    code, output = checked(tmp_path, changes)
    assert code != 0
    assert (
        "ImproperlyConfigured: WEBHOOKS_WORKSPACE_MODEL names workspace.Workspace" in output.splitlines()[-1]
    )


def test_a_cluster_that_is_not_set_is_an_error(tmp_path):
    code, output = checked(tmp_path, "del Q_CLUSTER")
    assert code != 0
    assert output.count("webhooks.") == 1
    assert "(webhooks.E008) Q_CLUSTER is not set, so nothing would wake the sender." in output


def test_a_broker_whose_client_is_missing_is_an_error(tmp_path):
    changes = """
        import sys
        sys.modules["redis"] = None
        Q_CLUSTER = {"name": "webhooks", "timeout": 60, "retry": 90}
    """
    code, output = checked(tmp_path, changes)
    assert code != 0
    assert output.count("webhooks.") == 1
    assert "(webhooks.E008) The broker that Q_CLUSTER names cannot be used: " in output


def test_where_postgresql_wakes_no_broker_is_asked_for(tmp_path):
    code, output = checked(tmp_path, 'del Q_CLUSTER\nWEBHOOKS = {**WEBHOOKS, "WAKE": "notify"}')
    assert (code, "webhooks." in output) == (0, False)


def test_a_connected_model_without_that_workspace_field_is_named():
    with pytest.raises(ImproperlyConfigured, match=r"webhooks\.Webhook\): the model has no field 'team'"):
        connect_model(Webhook, prefix="webhook", workspace="team")


def test_the_readmes_event_types_are_taken_as_they_stand(tmp_path):
    """`Invoice` is the shop's order here, whose tenant is its field `workspace`."""
    readme = (ROOT / "README.md").read_text()
    [code] = [
        block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "connect_model(" in block
    ]
    code = code.replace("from .models import Invoice", "from tests.shop.models import Order as Invoice")
    app = tmp_path / "billing"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "webhook_events.py").write_text(code.replace('workspace="team"', 'workspace="workspace"'))
    assert checked(tmp_path, 'INSTALLED_APPS = [*INSTALLED_APPS, "billing"]') == (0, "")
    (app / "webhook_events.py").write_text(code)
    status, output = checked(tmp_path, 'INSTALLED_APPS = [*INSTALLED_APPS, "billing"]')
    assert status != 0
    assert "ImproperlyConfigured: connect_model(shop.Order): the model has no field 'team'." in output
