"""A workspace from its making to its end: create, rename, leave, transfer, delete."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests import own_workspace  # noqa: F401
from tests.concurrency import beside
from tests.factories import make_user, make_webhook, make_workspace
from tests.test_admin import text
from webhooks.events import NewEvent, emit_many
from webhooks.models import Delivery, Event, Webhook
from webhooks.signals import event_emitted
from workspace import lifecycle, members
from workspace.models import Activity, Membership, Workspace

pytestmark = pytest.mark.django_db


def messages(response):
    return [str(message) for message in response.context["messages"]]


@pytest.fixture
def other(workspace):
    return workspace.memberships.create(user=make_user("other"), role="member")


class TestMaking:
    def test_whoever_makes_it_owns_it_and_stands_in_it(self, client):
        user = get_user_model().objects.create_user("olga", "olga@example.com", "pw")
        client.force_login(user)
        address = client.post("/new/", {"name": "Café Zürich"})["Location"]
        workspace = Workspace.objects.get()
        assert (workspace.name, address) == ("Café Zürich", f"/w/{workspace.slug}/")
        assert workspace.slug.startswith("cafe-zurich-")
        assert workspace.memberships.get().role == "owner"
        assert client.get(address).status_code == 200

    @pytest.mark.parametrize("name", ["Acme", "日本", "-", "a" * 100, "<b>&"])
    def test_its_slug_tells_nothing_of_others(self, name):
        taken = make_workspace("acme", "Acme")
        slugs = {lifecycle.new_slug(name) for _ in range(50)}
        assert len(slugs) == 50
        assert taken.slug not in slugs
        assert all(len(slug) <= 50 and Workspace(name=name, slug=slug).full_clean() is None for slug in slugs)

    @pytest.mark.parametrize("name", ["", "   ", "a" * 101, "a\x00b"])
    def test_a_poor_name_is_refused(self, client, name):
        client.force_login(make_user())
        assert "name" in client.post("/new/", {"name": name}).context["form"].errors
        assert not Workspace.objects.exists()

    def test_strangers_make_none(self):
        assert Client().post("/new/", {"name": "Acme"})["Location"] == "/login/?next=/new/"


class TestRenaming:
    def test_its_slug_stays(self, client, owner, workspace):
        assert client.post("/w/acme/settings/", {"name": "Acme Two", "slug": "two"}).status_code == 302
        workspace.refresh_from_db()
        assert (workspace.name, workspace.slug) == ("Acme Two", "acme")
        assert LogEntry.objects.filter(change_message="Changed name.", user=owner).exists()
        assert Event.objects.filter(type="workspace.updated").exists()

    def test_a_name_that_is_refused_stands_in_the_form_only(self, client, owner):
        response = client.post("/w/acme/settings/", {"name": "X" * 101})
        assert response.context["form"].errors
        assert response.context["site_header"] == "Acme"


@pytest.mark.parametrize("role", ["admin", "member", "viewer"])
def test_only_an_owner_renames_transfers_and_deletes(client, workspace, other, role):
    client.force_login(make_user("paul", role=role, workspace=workspace))
    settings = text(client.get("/w/acme/settings/"))
    assert "/w/acme/leave/" in settings
    for path, form in (
        ("settings", {"name": "Mine"}),
        ("transfer", {"to": other.pk}),
        ("delete", {"name": "Acme"}),
    ):
        assert client.post(f"/w/acme/{path}/", form).status_code == 403
        assert f'href="/w/acme/{path}/"' not in settings or path == "settings"
    assert Workspace.objects.get().name == "Acme"


def test_posts_without_a_csrf_token_are_refused(owner):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    pages = ("settings", "leave", "transfer", "delete", "workspace/membership/invite")
    for path in ("/new/", "/logout/", "/password/", *(f"/w/acme/{page}/" for page in pages)):
        assert browser.post(path, {"name": "Acme"}).status_code == 403, path
    assert Workspace.objects.exists()


class TestLeaving:
    def test_a_member_leaves_and_sees_nothing_any_more(self, client, other, workspace):
        client.force_login(other.user)
        assert client.get("/w/acme/leave/").status_code == 200
        assert workspace.memberships.exists()
        response = client.post("/w/acme/leave/", follow=True)
        assert response.redirect_chain == [("/", 302)]
        assert messages(response) == ["You left Acme."]
        assert client.get("/w/acme/").status_code == 404

    def test_the_last_owner_stays(self, client, owner, other, workspace):
        assert "needs an owner" in text(client.post("/w/acme/leave/"))
        assert workspace.memberships.filter(user=owner).exists()

    def test_a_superuser_who_only_visits_has_nothing_to_leave(self, client, workspace):
        client.force_login(make_user("root", superuser=True))
        assert "Leave" not in text(client.get("/w/acme/settings/"))
        assert client.post("/w/acme/leave/").status_code == 403


class TestTransferring:
    def test_the_owner_becomes_an_admin(self, client, owner, other, workspace):
        assert client.post("/w/acme/transfer/", {"to": other.pk})["Location"] == "/w/acme/settings/"
        roles = dict(workspace.memberships.values_list("user__username", "role"))
        assert roles == {"olga": "admin", "other": "owner"}
        assert LogEntry.objects.filter(change_message="Ownership transferred.").exists()
        assert client.get("/w/acme/transfer/").status_code == 403

    def test_a_visiting_superuser_makes_an_owner_and_becomes_nothing(self, client, other, workspace):
        client.force_login(make_user("root", superuser=True))
        client.post("/w/acme/transfer/", {"to": other.pk})
        assert workspace.memberships.get().role == "owner"

    def test_to_members_of_this_workspace_only(self, client, owner, other, workspace):
        foreign = make_workspace("blue").memberships.create(user=make_user("foreign"), role="member")
        other.user.is_active = False
        other.user.save()
        mine = workspace.memberships.get(user=owner)
        for to in (foreign.pk, other.pk, mine.pk, 999, "x"):
            assert "to" in client.post("/w/acme/transfer/", {"to": to}).context["form"].errors
        assert mine.role == "owner"

    def test_alone_there_is_nobody(self, client, owner):
        assert "There is nobody else" in text(client.get("/w/acme/transfer/"))


class TestDeleting:
    @pytest.mark.parametrize("typed", ["", "acme", "Acme2", "yes"])
    def test_its_name_must_be_typed(self, client, owner, typed):
        response = client.post("/w/acme/delete/", {"name": typed, "post": "yes"})
        assert "name" in response.context["form"].errors
        assert Workspace.objects.exists()

    def test_it_goes_with_everything_in_it_and_nothing_of_others(self, client, owner, workspace):
        kept = make_webhook(make_workspace("blue"))
        for one in (workspace, kept.workspace):
            make_webhook(one, name="Second")
            one.activities.create(title="Plan")
            emit_many([NewEvent("order.created", one, {"n": n}) for n in range(3)])
        before = Event.objects.filter(workspace=kept.workspace).count()
        response = client.post("/w/acme/delete/", {"name": "Acme"}, follow=True)
        assert response.redirect_chain == [("/", 302)]
        assert messages(response) == ["The workspace Acme was deleted."]
        for model in (Webhook.with_deleted, Event.objects, Delivery.objects, Activity.objects):
            assert set(model.values_list("workspace", flat=True)) == {kept.workspace_id}
        assert Event.objects.count() == before
        assert client.get("/w/acme/").status_code == 404
        entry = LogEntry.objects.get(change_message="Deleted.")
        assert (entry.object_repr, entry.user) == ("Acme", owner)

    def test_it_emits_nothing(self, client, owner, workspace):
        workspace.activities.create(title="Plan")
        emitted = []

        def note(event, **_):
            emitted.append(event)

        event_emitted.connect(note)
        client.post("/w/acme/delete/", {"name": "Acme"})
        event_emitted.disconnect(note)
        assert emitted == []

    def test_no_delivery_is_loaded_however_many_there_are(self, client, owner, workspace):
        counts = []
        for owed in (1, 1, 300):  # at first, content types are looked up
            one = make_workspace(f"w{len(counts)}", "Many")
            one.memberships.create(user=owner, role="owner")
            make_webhook(one)
            emit_many([NewEvent("order.created", one, {"n": n}) for n in range(owed)])
            with CaptureQueriesContext(connection) as captured:
                assert client.post(f"/w/{one.slug}/delete/", {"name": "Many"}).status_code == 302
            counts.append(len(captured))
            read = [query["sql"] for query in captured if query["sql"].startswith("SELECT")]
            assert not any(
                'FROM "webhooks_delivery"' in sql or 'FROM "webhooks_event"' in sql for sql in read
            )
        assert counts[1] == counts[2]

    def test_what_was_rolled_back_is_there(self, owner, workspace):
        with pytest.raises(IntegrityError), transaction.atomic():
            lifecycle.delete(workspace, by=owner)
            raise IntegrityError
        workspace = Workspace.objects.get()
        assert workspace.memberships.exists()


def test_the_action_itself_keeps_the_last_owner(owner, workspace):
    with pytest.raises(ValidationError):
        members.change_role(workspace.memberships.get(), "admin", by=owner)
    assert workspace.memberships.get().role == "owner"


@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_leave_at_once_one_stays(owner, workspace):
    first = workspace.memberships.get()
    second = workspace.memberships.create(user=make_user("other"), role="owner")
    failures = []

    def leave():
        try:
            members.remove(Membership.objects.get(pk=second.pk), by=second.user)
        except ValidationError as error:
            failures.append(error)

    with beside(leave) as start:
        members.remove(first, by=owner)
        start()
    assert len(failures) == 1
    assert workspace.memberships.get().role == "owner"


@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_are_demoted_at_once_one_stays_in_the_operators_site_too(owner, workspace):
    """Its form shows both as they were before: the one whom it leaves alone may be an owner no more."""
    first = workspace.memberships.get()
    second = workspace.memberships.create(user=make_user("operator", superuser=True), role="owner")
    form = {"name": "Acme", "slug": workspace.slug}
    form |= {"memberships-TOTAL_FORMS": 2, "memberships-INITIAL_FORMS": 2}
    for number, (one, role) in enumerate([(first, "owner"), (second, "admin")]):
        fields = {"id": one.pk, "workspace": workspace.pk, "user": one.user_id, "role": role}
        form |= {f"memberships-{number}-{name}": value for name, value in fields.items()}
    operator = Client()
    operator.force_login(second.user)

    def post():
        operator.post(f"/admin/workspace/workspace/{workspace.pk}/change/", form)

    with beside(post) as start:
        members.change_role(first, "admin", by=owner)
        start()
    assert workspace.memberships.filter(role="owner").exists()


@pytest.mark.django_db(transaction=True)
def test_an_admin_does_not_demote_who_becomes_an_owner_meanwhile(owner, workspace):
    workspace.memberships.create(user=make_user("second"), role="owner")
    heir = workspace.memberships.create(user=make_user("heir"), role="member")
    admin = Client()
    admin.force_login(make_user("admin", role="admin", workspace=workspace))

    def post():
        admin.post(f"/w/{workspace.slug}/workspace/membership/{heir.pk}/change/", {"role": "viewer"})

    with beside(post) as start:
        members.transfer(workspace, Membership.objects.get(pk=heir.pk), by=owner)
        start()
    assert workspace.memberships.get(pk=heir.pk).role == "owner"


@pytest.mark.django_db(transaction=True)
def test_who_leaves_twice_at_once_is_told_of_once(owner, workspace):
    leaver = workspace.memberships.create(user=make_user("leaver"), role="member")
    found = [Membership.objects.get(pk=leaver.pk) for _ in range(2)]
    with beside(lambda: members.remove(found[1], by=leaver.user), allowed=ValidationError) as start:
        members.remove(found[0], by=leaver.user)
        start()
    assert Event.objects.filter(type="member.removed").count() == 1


def test_who_has_left_meanwhile_does_not_become_the_owner(owner, workspace, other, client, monkeypatch):
    transfer = members.transfer

    def too_late(*arguments, **options):
        Membership.objects.filter(pk=other.pk).delete()
        transfer(*arguments, **options)

    monkeypatch.setattr(members, "transfer", too_late)
    response = client.post(f"/w/{workspace.slug}/transfer/", {"to": other.pk})
    assert response.context["form"].errors["to"] == ["This person is no member any more."]
    assert workspace.memberships.get().role == "owner"


@pytest.mark.django_db(transaction=True)
def test_emitting_does_not_wait_for_who_counts_the_owners(owner, workspace):
    workspace.memberships.create(user=make_user("other"), role="owner")
    make_webhook(workspace)
    event = NewEvent("order.created", workspace, {})
    with beside(lambda: emit_many([event])) as start:
        members.remove(workspace.memberships.get(user=owner), by=owner)
        assert start() == (connection.vendor == "postgresql")
