"""The role table, as the documentation prints it: every role × every action, by the API and on both sites.

Each probe does what an action allows and says whether it came about, whatever the answer's status was.
"""

import re
from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from tests import own_workspace  # noqa: F401
from tests.factories import SECRET, make_user, make_webhook, make_workspace
from tests.processes import ROOT
from tests.test_admin import make_delivery
from webhooks import access
from webhooks.models import Delivery, Event, Webhook
from workspace.access import OWN_ACTIONS, ROLES
from workspace.models import Membership, Workspace

pytestmark = pytest.mark.django_db

ACTIONS = (*access.ACTIONS, *OWN_ACTIONS)
PAYLOAD = "data-of-the-event"
ANSWER = "what-the-receiver-said"
URL = "https://crm.example.com/hook"


def documented():
    """{role: its actions} as docs/roles.md has it."""
    text = (ROOT / "docs" / "roles.md").read_text()
    header = re.search(r"^\| \| action \|(.+)\|$", text, re.MULTILINE)
    roles = [name.strip() for name in header[1].split("|")]
    table = {role: set() for role in roles}
    for action, marks in re.findall(r"^\| [^|]+ \| `(\w+)` \|(.+)\|$", text, re.MULTILINE):
        for role, mark in zip(roles, marks.split("|"), strict=True):
            assert mark.strip() in ("", "✓")
            if mark.strip():
                table[role].add(action)
    return table


TABLE = documented()


def test_the_documented_table_is_the_one_that_holds():
    assert {role: set(actions) for role, actions in ROLES.items()} == TABLE
    assert set().union(*TABLE.values()) == set(ACTIONS)
    assert set(TABLE) == set(Membership.Role.values)


class Things:
    """A workspace with a webhook, a delivery that was answered, and a member to be managed."""

    def __init__(self):
        self.workspace = make_workspace()
        self.webhook = make_webhook(self.workspace, callback_url=URL, secret=SECRET)
        attempt = {"response_body": ANSWER, "response_headers": {"X-Echo": ANSWER}}
        attempt |= {"request_method": "GET", "request_url": f"{URL}?payload={PAYLOAD}"}
        self.delivery = make_delivery(self.webhook, data=f'{{"a":"{PAYLOAD}"}}', attempt=attempt)
        self.event = self.delivery.event
        self.colleague = Membership.objects.create(
            workspace=self.workspace, user=make_user("cleo"), role=Membership.Role.MEMBER
        )
        make_user("other-owner", role="owner", workspace=self.workspace)

    def stored(self):
        return Webhook.with_deleted.get(pk=self.webhook.pk)

    def workspace_has(self, name):
        return Webhook.objects.filter(workspace=self.workspace, name=name).exists()

    def missed(self):
        """Make an event for which the webhook has no delivery; return a time before it."""
        self.missing = Event.objects.create(
            workspace=self.workspace, workspace_key="acme", type="order.created", data="{}",
            occurred_at=timezone.now(),
        )  # fmt: skip
        return (timezone.now() - timedelta(hours=1)).isoformat()

    def recovered(self):
        return Delivery.objects.filter(event=self.missing, webhook=self.webhook, status="pending").exists()

    def sent_again(self):
        return Delivery.objects.get(pk=self.delivery.pk).status == "pending"


@pytest.fixture
def things():
    return Things()


class ByApi:
    base = "/api/v1/workspaces/acme/"
    # Members and workspaces are managed on pages only.
    not_offered = {"members", "workspace"}

    def __init__(self, user, things):
        self.client, self.things = APIClient(), things
        self.client.force_authenticate(user)
        self.webhook = f"{self.base}webhooks/{things.webhook.pk}/"

    def view(self):
        shown = self.client.get(f"{self.base}webhooks/")
        listed = self.client.get(f"{self.base}deliveries/{self.things.delivery.pk}/")
        return shown.status_code == listed.status_code == 200 and URL in shown.content.decode()

    def payloads(self):
        event = self.client.get(f"{self.base}events/{self.things.event.pk}/").json()
        events = self.client.get(f"{self.base}events/").json()["results"]
        address = f"{self.base}deliveries/{self.things.delivery.pk}/"
        delivery = self.client.get(address).json()
        browsable = self.client.get(address, {"format": "api"}).content.decode()
        return seen(str(event), str(events), str(delivery), browsable, also=(ANSWER, str(delivery)))

    def add(self):
        body = {"name": "New", "callback_url": URL, "events": ["*"]}
        self.client.post(f"{self.base}webhooks/", body, format="json")
        return self.things.workspace_has("New")

    def change(self):
        self.client.patch(self.webhook, {"max_attempts": 3}, format="json")
        return self.things.stored().max_attempts == 3

    def delete(self):
        self.client.delete(self.webhook)
        return self.things.stored().deleted_at is not None

    def redeliver(self):
        self.client.post(f"{self.base}deliveries/{self.things.delivery.pk}/redeliver/")
        return self.things.sent_again()

    def recover(self):
        self.client.post(f"{self.webhook}recover/", {"since": self.things.missed()}, format="json")
        return self.things.recovered()

    def secret(self):
        self.client.post(f"{self.webhook}rotate-secret/")
        return self.things.stored().secret != SECRET


class ByPages:
    """One site's pages. `base`: where its admin stands."""

    not_offered: frozenset[str] = frozenset()

    def __init__(self, user, things):
        self.client, self.things = Client(), things
        self.client.force_login(user)
        self.webhooks = f"{self.base}webhooks/webhook/"
        self.webhook = f"{self.webhooks}{things.webhook.pk}/"
        self.delivery = f"{self.base}webhooks/delivery/{things.delivery.pk}/"

    def view(self):
        pages = [self.webhooks, f"{self.webhook}change/", f"{self.delivery}change/"]
        return all(URL in self.client.get(page).content.decode() for page in pages)

    def payloads(self):
        event = self.client.get(f"{self.base}webhooks/event/{self.things.event.pk}/change/")
        delivery = self.client.get(f"{self.delivery}change/")
        assert event.status_code == delivery.status_code == 200
        shown = delivery.content.decode()
        return seen(event.content.decode(), shown, also=(ANSWER, shown))

    def form(self, **changes):
        form = {"name": "CRM", "callback_url": URL, "method": "POST", "content_type": "application/json"}
        form |= {"max_attempts": "8", "is_active": "on", "events": ["*"], "authorization_kind": ""}
        return {**form, **changes}

    def add(self):
        self.client.post(f"{self.webhooks}add/", self.form(name="New", authorization_kind="none"))
        return self.things.workspace_has("New")

    def change(self):
        self.client.post(f"{self.webhook}change/", self.form(max_attempts="3"))
        return self.things.stored().max_attempts == 3

    def delete(self):
        self.client.post(f"{self.webhook}delete/", {"post": "yes"})
        return self.things.stored().deleted_at is not None

    def redeliver(self):
        self.client.post(f"{self.delivery}redeliver/")
        return self.things.sent_again()

    def recover(self):
        since = self.things.missed()
        page = self.client.get(f"{self.webhook}change/").content.decode()
        self.client.post(f"{self.webhook}recover/", {"since": since, "confirm": "Recover"})
        assert (f'href="{self.webhook}recover/"' in page) == self.things.recovered()
        return self.things.recovered()

    def secret(self):
        self.client.post(f"{self.webhook}secret/", {"secret": ""})
        return self.things.stored().secret != SECRET


class ByOperatorsSite(ByPages):
    base = "/admin/"

    def workspace_form(self, **changes):
        members = list(self.things.workspace.memberships.order_by("pk"))
        form = {"name": "Acme", "memberships-TOTAL_FORMS": len(members)}
        form |= {"memberships-INITIAL_FORMS": len(members)}
        for number, one in enumerate(members):
            prefix = f"memberships-{number}-"
            form |= {f"{prefix}id": one.pk, f"{prefix}workspace": one.workspace_id}
            form |= {f"{prefix}user": one.user_id, f"{prefix}role": changes.pop(one.pk, one.role)}
        return {**form, **changes}

    def post(self, form):
        return self.client.post(f"{self.base}workspace/workspace/{self.things.workspace.pk}/change/", form)

    def members(self):
        self.post(self.workspace_form() | self.role_of_colleague("viewer"))
        return Membership.objects.get(pk=self.things.colleague.pk).role == "viewer"

    def role_of_colleague(self, role):
        place = list(self.things.workspace.memberships.order_by("pk")).index(self.things.colleague)
        return {f"memberships-{place}-role": role}

    def workspace(self):
        self.post(self.workspace_form(name="Renamed"))
        return Workspace.objects.get(slug="acme").name == "Renamed"


class ByOwnSite(ByPages):
    base = "/w/acme/"

    def members(self):
        address = f"{self.base}workspace/membership/{self.things.colleague.pk}/change/"
        self.client.post(address, {"role": "viewer"})
        return Membership.objects.get(pk=self.things.colleague.pk).role == "viewer"

    def workspace(self):
        self.client.post(f"{self.base}settings/", {"name": "Renamed"})
        return Workspace.objects.get(slug="acme").name == "Renamed"


def seen(*texts, also):
    """Return whether the payload stands in each of the texts; it may not stand in only some of them."""
    found = [PAYLOAD in text for text in texts] + [also[0] in also[1]]
    assert len(set(found)) == 1, found
    return found[0]


FACES = [ByApi, ByOperatorsSite, ByOwnSite]


@pytest.mark.parametrize("face", FACES)
def test_every_action_is_probed(face):
    assert {name for name in ACTIONS if hasattr(face, name)} == set(ACTIONS) - face.not_offered


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("role", [*TABLE, None])
def test_a_role_does_what_its_row_says_and_no_more(things, face, role, action):
    if action in face.not_offered:
        return
    user = make_user("ann", role=role, workspace=things.workspace)
    if role is None:
        # Of another workspace everything, of this one nothing.
        make_workspace("mine").memberships.create(user=user, role="owner")
    if action == "payloads" and role is None:
        return  # there is no page at all: see the walk over all addresses
    came_about = getattr(face(user, things), action)()
    assert came_about == (role is not None and action in TABLE[role])


@pytest.mark.parametrize("face", [ByOperatorsSite, ByOwnSite])
class TestOwners:
    """An admin manages members, but owners are left to owners."""

    def by(self, face, role, things):
        return face(make_user("ann", role=role, workspace=things.workspace), things)

    def give(self, face, to, role):
        """Give the member `to` a role, as a form of this site does."""
        if face.base == "/admin/":
            members = list(face.things.workspace.memberships.order_by("pk"))
            form = face.workspace_form() | {f"memberships-{members.index(to)}-role": role}
            return face.post(form)
        return face.client.post(f"{face.base}workspace/membership/{to.pk}/change/", {"role": role})

    def remove(self, face, one):
        if face.base == "/admin/":
            members = list(face.things.workspace.memberships.order_by("pk"))
            form = face.workspace_form() | {f"memberships-{members.index(one)}-DELETE": "on"}
            return face.post(form)
        return face.client.post(f"{face.base}workspace/membership/{one.pk}/delete/", {"post": "yes"})

    @pytest.mark.parametrize(("role", "works"), [("owner", True), ("admin", False), ("member", False)])
    def test_only_an_owner_makes_an_owner(self, things, face, role, works):
        by = self.by(face, role, things)
        self.give(by, things.colleague, "owner")
        assert (Membership.objects.get(pk=things.colleague.pk).role == "owner") == works

    @pytest.mark.parametrize(("role", "works"), [("owner", True), ("admin", False)])
    def test_only_an_owner_unmakes_or_removes_an_owner(self, things, face, role, works):
        owner = things.workspace.memberships.get(role="owner")
        by = self.by(face, role, things)
        self.give(by, owner, "viewer")
        assert (Membership.objects.get(pk=owner.pk).role == "viewer") == works
        Membership.objects.filter(pk=owner.pk).update(role="owner")
        self.remove(by, owner)
        assert Membership.objects.filter(pk=owner.pk).exists() != works

    def test_nobody_makes_themselves_an_owner(self, things, face):
        by = self.by(face, "admin", things)
        mine = Membership.objects.get(user__username="ann")
        self.give(by, mine, "owner")
        mine.refresh_from_db()
        assert mine.role == "admin"

    def test_the_last_owner_who_can_log_in_stays(self, things, face):
        get_user_model().objects.filter(username="other-owner").update(is_active=False)
        by = self.by(face, "owner", things)
        mine = things.workspace.memberships.get(user__username="ann")
        self.give(by, mine, "admin")
        self.remove(by, mine)
        mine.refresh_from_db()
        assert mine.role == "owner"


class TestQuotasOfAWorkspace:
    def change(self, user, things, **fields):
        by = ByOperatorsSite(user, things)
        by.post(by.workspace_form(slug="acme", **fields))
        return Workspace.objects.get()

    def test_operators_grant_them(self, things):
        root = make_user("root", superuser=True)
        changed = self.change(root, things, max_webhooks=5, max_events_per_minute=60, max_days=7)
        assert (changed.max_webhooks, changed.max_events_per_minute, changed.max_days) == (5, 60, 7)

    def test_an_owner_only_sees_them(self, things):
        Workspace.objects.update(max_webhooks=5)
        owner = make_user("ann", role="owner", workspace=things.workspace)
        changed = self.change(owner, things, max_webhooks=500, name="Renamed")
        assert (changed.max_webhooks, changed.name) == (5, "Renamed")

    def test_an_owner_cannot_find_out_which_slugs_are_taken(self, things):
        make_workspace("hidden")
        by = ByOperatorsSite(make_user("ann", role="owner", workspace=things.workspace), things)
        answer = by.post(by.workspace_form(slug="hidden"))
        assert answer.status_code == 302
        assert set(Workspace.objects.values_list("slug", flat=True)) == {"acme", "hidden"}

    def test_they_bind(self, things):
        Workspace.objects.update(max_webhooks=1)
        for face in FACES:
            user = make_user(face.__name__, role="owner", workspace=things.workspace)
            assert not face(user, things).add()


def test_users_are_made_anew_for_each_request():
    """The probes rely on it: roles are kept on the user object for one request."""
    user = make_user()
    assert not hasattr(get_user_model().objects.get(pk=user.pk), "_workspace_roles")
    assert apps.is_installed("workspace")
