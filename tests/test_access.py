from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Permission
from django.utils.module_loading import import_string

from tests.factories import make_user, make_workspace
from webhooks import access

OWN = ("members", "workspace")

pytestmark = pytest.mark.django_db
ours = pytest.mark.skipif(not apps.is_installed("workspace"), reason="roles belong to our workspace app")

WORK = {"view", "payloads", "add", "change", "redeliver", "recover"}
ROLE_TABLE = {
    "owner": WORK | {"delete", "secret", "members", "workspace"},
    "admin": WORK | {"delete", "secret", "members"},
    "member": WORK,
    "viewer": {"view"},
}


def fresh(user):
    """The user as the next request loads it."""
    return get_user_model().objects.get(pk=user.pk)


def allowed(user, workspace, own=()):
    return {action for action in (*access.ACTIONS, *own) if access.may(user, workspace, action)}


@pytest.fixture
def by_model_permissions(settings):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "ACCESS": "webhooks.access.ModelPermissions"}


@pytest.mark.parametrize(
    ("codename", "actions"),
    [
        ("view_webhook", {"view"}),
        ("add_webhook", {"add"}),
        ("change_webhook", {"change", "secret"}),
        ("delete_webhook", {"delete"}),
        ("change_delivery", {"redeliver", "recover"}),
        ("view_event", {"payloads"}),
        ("view_delivery", set()),
    ],
)
def test_each_model_permission_allows_its_actions_in_every_workspace(by_model_permissions, codename, actions):
    user = make_user()
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="webhooks", codename=codename)
    )
    for slug in ("acme", "other"):
        assert allowed(fresh(user), make_workspace(slug)) == actions
    assert access.workspaces(fresh(user)).count() == (2 if "view" in actions else 0)


def test_superusers_are_told_where_only_model_permissions_count(by_model_permissions):
    make_user("ann")
    root = make_user("root", superuser=True)
    get_user_model().objects.create_superuser("mute", "", "pw")
    assert access.recipients(make_workspace()) == ["root@example.com"]
    root.is_active = False
    root.save()
    assert access.recipients(None) == []


@pytest.mark.parametrize("path", ["webhooks.access.ModelPermissions", "workspace.access.RoleAccess"])
def test_anonymous_and_inactive_users_may_nothing(settings, path):
    if not apps.is_installed("workspace") and path.startswith("workspace."):
        pytest.skip("roles belong to our workspace app")
    settings.WEBHOOKS = {**settings.WEBHOOKS, "ACCESS": path}
    workspace = make_workspace()
    inactive = make_user(superuser=True)
    inactive.is_active = False
    inactive.save()
    for user in (AnonymousUser(), fresh(inactive)):
        assert allowed(user, workspace) == set()
        assert not access.workspaces(user).exists()


def test_an_inactive_user_may_nothing_even_where_a_backend_grants_it(by_model_permissions):
    inactive = SimpleNamespace(is_active=False, has_perm=lambda permission: True)
    assert allowed(inactive, make_workspace()) == set()


def test_the_configured_class_decides(settings):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "ACCESS": f"{__name__}.Nobody"}
    root = make_user(superuser=True)
    assert allowed(root, make_workspace()) == set()
    assert not access.workspaces(root).exists()
    assert access.recipients(None) == ["nobody@example.com"]


class Nobody:
    def workspaces(self, user):
        return import_string("webhooks.conf.workspace_model")().objects.none()

    def may(self, user, workspace, action):
        return False

    def recipients(self, workspace):
        return ["nobody@example.com"]


@ours
@pytest.mark.parametrize("role", ROLE_TABLE)
def test_a_role_allows_what_the_table_says_and_only_in_its_workspace(role):
    workspace, other = make_workspace(), make_workspace("other")
    user = make_user(role=role, workspace=workspace)
    assert allowed(user, workspace, OWN) == ROLE_TABLE[role]
    assert allowed(user, other, OWN) == set()
    assert list(access.workspaces(user)) == [workspace]


@ours
@pytest.mark.parametrize(
    ("role", "given"),
    [
        ("owner", {"owner", "admin", "member", "viewer"}),
        ("admin", {"admin", "member", "viewer"}),
        ("member", set()),
        ("viewer", set()),
    ],
)
def test_nobody_gives_a_role_with_more_rights_than_their_own(role, given):
    roles_in_gift = import_string("workspace.access.roles_in_gift")
    workspace, other = make_workspace(), make_workspace("other")
    user = make_user(role=role, workspace=workspace)
    assert roles_in_gift(user, workspace) == given
    assert roles_in_gift(user, other) == set()


@ours
def test_a_superuser_may_everything_everywhere_and_a_stranger_nothing():
    workspace = make_workspace()
    make_workspace("other")
    root = make_user(superuser=True)
    assert allowed(root, workspace) == set(access.ACTIONS)
    assert access.workspaces(root).count() == 2
    stranger = make_user("stranger")
    assert allowed(stranger, workspace) == set()
    assert not access.workspaces(stranger).exists()


@ours
def test_a_role_that_is_not_in_the_table_may_nothing():
    workspace = make_workspace()
    assert allowed(make_user(role="guest", workspace=workspace), workspace) == set()


@ours
def test_roles_are_asked_once_a_request_and_again_in_the_next(django_assert_num_queries):
    workspaces = [make_workspace(str(number)) for number in range(5)]
    user = make_user(role="viewer", workspace=workspaces[0])
    with django_assert_num_queries(1):
        for workspace in workspaces:
            allowed(user, workspace)
    user.memberships.update(role="owner")
    assert access.may(fresh(user), workspaces[0], "delete")


@ours
def test_active_owners_with_an_address_are_told():
    workspace = make_workspace()
    for role in ("owner", "admin", "member", "viewer"):
        make_user(role, role=role, workspace=workspace)
    make_user("elsewhere", role="owner", workspace=make_workspace("other"))
    for name, changes in (("left", {"is_active": False}), ("mute", {"email": ""})):
        user = make_user(name, role="owner", workspace=workspace)
        get_user_model().objects.filter(pk=user.pk).update(**changes)
    assert access.recipients(workspace) == ["owner@example.com"]
