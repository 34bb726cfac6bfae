"""Inviting, joining, other roles, removing: who may, and that an owner remains."""

import re
import smtplib
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.core import mail, signing
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests import own_workspace  # noqa: F401
from tests.concurrency import beside
from tests.factories import make_user, make_workspace
from tests.test_admin import text
from webhooks.models import Event
from workspace import invitations, members
from workspace.models import Invitation, Membership

pytestmark = pytest.mark.django_db

MEMBERS = "/w/acme/workspace/membership/"
INVITE = f"{MEMBERS}invite/"
PASSWORD = "corRect-horse-1"
ACCOUNT = {"username": "nina", "password1": PASSWORD, "password2": PASSWORD}


@pytest.fixture
def log_in(client, workspace):
    """Return a function that logs a new person of some role in, and returns their membership."""

    def logged_in(role, name="paul"):
        user = make_user(name, role=role, workspace=workspace)
        client.force_login(user)
        return workspace.memberships.get(user=user)

    return logged_in


@pytest.fixture
def invited(client, owner):
    """The path of the link that was mailed to nina@example.com."""
    client.post(INVITE, {"address": "Nina@Example.com", "role": "viewer"})
    [message] = mail.outbox
    assert message.to == ["nina@example.com"]
    [link] = re.findall(r"http://testserver(/\S+)", message.body)
    return link


def form_errors(response):
    return [str(error) for errors in response.context["form"].errors.values() for error in errors]


class TestInviting:
    def test_the_mail_says_who_to_what_and_how_long(self, invited):
        [message] = mail.outbox
        assert message.subject == "You are invited to Acme"
        assert "olga invites you to the workspace Acme." in message.body
        assert "Your role there: Viewer." in message.body
        assert "within 7 days" in message.body
        assert message.extra_headers["Auto-Submitted"] == "auto-generated"

    def test_the_links_host_is_the_configured_one(self, client, owner, settings):
        settings.WEBHOOKS = {**settings.WEBHOOKS, "BASE_URL": "https://app.example.com/"}
        client.post(INVITE, {"address": "nina@example.com", "role": "viewer"})
        assert "\nhttps://app.example.com/invitations/" in mail.outbox[0].body

    def test_names_bring_no_header_and_no_paragraph_into_the_mail(self, client, owner, workspace):
        workspace.name = "Acme\r\nBcc: all@example.com\n\nPay here"
        workspace.save()
        assert client.post(INVITE, {"address": "nina@example.com", "role": "viewer"}).status_code == 302
        [message] = mail.outbox
        assert message.subject == "You are invited to Acme Bcc: all@example.com Pay here"
        assert "\nPay here" not in message.body

    def test_the_list_shows_what_is_open_to_those_who_may_invite(self, client, invited, workspace):
        assert "nina@example.com" in text(client.get(MEMBERS))
        client.force_login(make_user("max", role="member", workspace=workspace))
        listing = text(client.get(MEMBERS))
        assert "olga@example.com" in listing
        assert "nina@example.com" not in listing
        assert "Invite somebody" not in listing

    def test_a_second_invitation_voids_the_first_link(self, client, invited):
        client.post(INVITE, {"address": "nina@example.com", "role": "member"})
        assert Invitation.objects.get().role == "member"
        assert client.get(invited).status_code == 404

    def test_a_member_is_not_invited_again(self, client, owner):
        response = client.post(INVITE, {"address": "OLGA@example.com", "role": "viewer"})
        assert form_errors(response) == [str(invitations.IS_MEMBER)]
        assert mail.outbox == []

    def test_there_is_an_end_to_open_invitations(self, client, owner, workspace, monkeypatch):
        monkeypatch.setattr(invitations, "OPEN_AT_MOST", 1)
        client.post(INVITE, {"address": "one@example.com", "role": "viewer"})
        response = client.post(INVITE, {"address": "two@example.com", "role": "viewer"})
        assert "open invitations" in form_errors(response)[0]
        # Those that nobody can accept any more do not count.
        Invitation.objects.update(created_at=timezone.now() - timedelta(days=8))
        assert client.post(INVITE, {"address": "two@example.com", "role": "viewer"}).status_code == 302
        assert Invitation.objects.get().address == "two@example.com"

    @pytest.mark.parametrize("address", ["", "nobody", "a@b", "a@example.com\nBcc: b@example.com"])
    def test_what_is_no_address_is_refused(self, client, owner, address):
        assert form_errors(client.post(INVITE, {"address": address, "role": "viewer"}))
        assert not Invitation.objects.exists()

    def test_without_a_mail_server_nobody_is_invited(self, client, owner, settings):
        settings.EMAIL_BACKEND = "tests.mail.Down"
        response = client.post(INVITE, {"address": "down@example.com", "role": "viewer"})
        assert form_errors(response) == [str(invitations.NOT_MAILED)]
        assert not Invitation.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_no_transaction_waits_for_the_mail_server(self, client, owner, monkeypatch):
        open_meanwhile = []

        def send(message, **_):
            open_meanwhile.append(connection.in_atomic_block)
            raise smtplib.SMTPServerDisconnected

        monkeypatch.setattr("django.core.mail.EmailMessage.send", send)
        client.post(INVITE, {"address": "nina@example.com", "role": "viewer"})
        assert open_meanwhile == [False]

    @pytest.mark.django_db(transaction=True)
    def test_two_clicks_make_one_invitation(self, owner, workspace):
        def invite():
            invitations.make(workspace, "nina@example.com", "viewer", by=owner)

        with beside(invite) as start:
            invite()
            start()
        assert Invitation.objects.count() == 1

    def test_it_can_be_taken_back(self, client, invited):
        address = f"{MEMBERS}invitations/{Invitation.objects.get().pk}/revoke/"
        assert client.get(address).status_code == 405
        assert client.post(address)["Location"] == MEMBERS
        assert not Invitation.objects.exists()
        assert client.get(invited).status_code == 404
        assert client.post(address).status_code == 404

    def test_nobody_invites_above_their_own_role(self, client, log_in, workspace):
        log_in("admin")
        choices = [value for value, _ in client.get(INVITE).context["form"].fields["role"].choices]
        assert choices == ["member", "viewer", "admin"]
        assert form_errors(client.post(INVITE, {"address": "nina@example.com", "role": "owner"}))
        owners = Invitation.objects.create(workspace=workspace, address="z@example.com", role="owner")
        assert client.post(f"{MEMBERS}invitations/{owners.pk}/revoke/").status_code == 403

    @pytest.mark.parametrize("role", ["member", "viewer"])
    def test_who_does_not_manage_members_does_nothing_of_it(self, client, log_in, workspace, role):
        log_in(role)
        other = workspace.memberships.create(user=make_user("other"), role="viewer")
        open_one = Invitation.objects.create(workspace=workspace, address="z@example.com", role="viewer")
        for path in ("invite/", f"invitations/{open_one.pk}/revoke/", f"{other.pk}/delete/"):
            assert client.post(f"{MEMBERS}{path}", {"post": "yes"}).status_code == 403
        assert client.post(f"{MEMBERS}{other.pk}/change/", {"role": "admin"}).status_code == 403
        assert client.get(f"{MEMBERS}{other.pk}/change/").status_code == 200

    def test_another_workspaces_invitation_is_not_there(self, client, owner):
        other = Invitation.objects.create(workspace=make_workspace("blue"), address="z@example.com")
        assert client.post(f"{MEMBERS}invitations/{other.pk}/revoke/").status_code == 404
        assert Invitation.objects.exists()


class TestJoining:
    def test_somebody_without_an_account_makes_one(self, invited, workspace):
        browser = Client()
        page = browser.get(invited)
        assert "Acme" in text(page)
        assert browser.post(invited, ACCOUNT)["Location"] == "/w/acme/"
        assert browser.get("/w/acme/").status_code == 200
        user = get_user_model().objects.get(username="nina")
        assert (user.email, user.is_staff, user.is_superuser) == ("nina@example.com", False, False)
        assert workspace.memberships.get(user=user).role == "viewer"
        assert Event.objects.filter(type="member.added", workspace=workspace).exists()

    def test_the_account_form_takes_no_rights(self, invited):
        Client().post(invited, {**ACCOUNT, "email": "x@example.com", "is_superuser": "on", "role": "owner"})
        user = get_user_model().objects.get(username="nina")
        assert (user.email, user.is_superuser) == ("nina@example.com", False)
        assert Membership.objects.get(user=user).role == "viewer"

    @pytest.mark.parametrize(
        "change", [{"username": "olga"}, {"password1": "short", "password2": "short"}, {"password2": "other"}]
    )
    def test_a_poor_account_is_refused_and_the_invitation_stays(self, invited, change):
        response = Client().post(invited, {**ACCOUNT, **change})
        assert form_errors(response)
        assert Invitation.objects.exists()
        assert not get_user_model().objects.filter(username="nina").exists()

    def test_somebody_with_an_account_logs_in_and_joins(self, invited, workspace):
        user = get_user_model().objects.create_user("nina", "NINA@example.com", "pw")
        browser = Client()
        page = browser.get(invited)
        assert page.context["form"] is None
        log_in = page.context["log_in"]
        response = browser.post(log_in, {"username": "nina", "password": "pw", "next": invited})
        assert response["Location"] == invited
        assert not workspace.memberships.filter(user=user).exists()  # to look is not to join
        assert browser.post(invited)["Location"] == "/w/acme/"
        assert workspace.memberships.get(user=user).role == "viewer"

    def test_it_is_used_once(self, invited):
        Client().post(invited, ACCOUNT)
        answers = [Client().get(invited), Client().post(invited, {**ACCOUNT, "username": "two"})]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert not get_user_model().objects.filter(username="two").exists()

    def test_of_two_at_once_one_joins(self, invited, workspace):
        invitation = Invitation.objects.get()
        first, second = (
            get_user_model().objects.create_user(name, "nina@example.com", "pw") for name in ("one", "two")
        )
        assert invitations.accept(invitation, first) is not None
        # The second had read the row before.
        assert invitations.accept(Invitation(**_columns(invitation)), second) is None
        assert not workspace.memberships.filter(user=second).exists()

    def test_it_is_for_its_address_only(self, client, invited, workspace):
        stranger = make_user("sam")
        client.force_login(stranger)
        assert "This invitation is for nina@example.com" in text(client.get(invited))
        client.post(invited)
        assert not workspace.memberships.filter(user=stranger).exists()
        assert Invitation.objects.exists()

    def test_an_account_without_an_address_is_nobodys(self, client, invited, workspace):
        client.force_login(get_user_model().objects.create_user("mute", "", "pw"))
        client.post(invited)
        assert workspace.memberships.count() == 1

    def test_it_expires(self, invited, monkeypatch):
        monkeypatch.setattr(Invitation, "LIFETIME", timedelta(seconds=-1))
        assert Client().get(invited).status_code == 404

    @pytest.mark.parametrize("change", [lambda token: token[:-1] + "x", lambda token: "x", lambda token: ":"])
    def test_a_forged_link_is_none(self, invited, change):
        token = invited.split("/")[2]
        assert Client().get(f"/invitations/{change(token)}/").status_code == 404

    def test_what_was_signed_for_another_purpose_is_none(self, invited):
        other = signing.dumps(str(Invitation.objects.get().pk), salt="another")
        assert Client().get(f"/invitations/{other}/").status_code == 404

    @pytest.mark.parametrize("change", ["demoted", "removed", "deactivated", "deleted"])
    def test_it_is_worth_what_its_sender_may_give(self, invited, owner, workspace, change):
        workspace.memberships.create(user=make_user("other"), role="owner")
        mine = workspace.memberships.get(user=owner)
        if change == "demoted":
            members.change_role(mine, "member", by=owner)
        elif change == "removed":
            members.remove(mine, by=owner)
        elif change == "deactivated":
            owner.is_active = False
            owner.save()
        else:
            owner.delete()
        assert Client().post(invited, ACCOUNT).status_code == 404
        assert not get_user_model().objects.filter(username="nina").exists()

    def test_it_ends_with_its_workspace(self, invited, workspace):
        workspace.delete()
        assert Client().get(invited).status_code == 404

    def test_who_is_a_member_already_keeps_their_role(self, client, invited, workspace):
        user = get_user_model().objects.create_user("nina", "nina@example.com", "pw")
        workspace.memberships.create(user=user, role="admin")
        client.force_login(user)
        assert client.post(invited)["Location"] == "/w/acme/"
        assert workspace.memberships.get(user=user).role == "admin"
        assert not Invitation.objects.exists()


class TestRoles:
    def test_an_owner_gives_every_role(self, client, owner, workspace):
        other = workspace.memberships.create(user=make_user("other"), role="viewer")
        for role in ("member", "admin", "owner"):
            assert client.post(f"{MEMBERS}{other.pk}/change/", {"role": role})["Location"] == MEMBERS
            other.refresh_from_db()
            assert other.role == role
        assert LogEntry.objects.filter(object_id=str(other.pk), change_message="Changed role to owner.")

    def test_the_user_of_a_membership_cannot_be_changed(self, client, owner, workspace):
        other = workspace.memberships.create(user=make_user("other"), role="viewer")
        third = make_user("third")
        client.post(f"{MEMBERS}{other.pk}/change/", {"role": "member", "user": third.pk})
        other.refresh_from_db()
        assert (other.user.username, other.role) == ("other", "member")

    def test_an_admin_neither_makes_nor_touches_an_owner(self, client, log_in, workspace):
        mine = log_in("admin")
        boss = workspace.memberships.create(user=make_user("boss"), role="owner")
        response = client.post(f"{MEMBERS}{mine.pk}/change/", {"role": "owner"})
        assert "role" in response.context["adminform"].form.errors
        assert client.post(f"{MEMBERS}{boss.pk}/change/", {"role": "viewer"}).status_code == 403
        assert client.post(f"{MEMBERS}{boss.pk}/delete/", {"post": "yes"}).status_code == 403
        assert sorted(workspace.memberships.values_list("role", flat=True)) == ["admin", "owner"]

    def test_an_admin_removes_a_member(self, client, log_in, workspace):
        log_in("admin")
        other = workspace.memberships.create(user=make_user("other"), role="member")
        assert client.post(f"{MEMBERS}{other.pk}/delete/", {"post": "yes"})["Location"] == MEMBERS
        assert workspace.memberships.count() == 1
        assert Event.objects.filter(type="member.removed").exists()

    def test_the_last_owner_is_neither_demoted_nor_removed(self, client, owner, workspace):
        mine = workspace.memberships.get()
        response = client.post(f"{MEMBERS}{mine.pk}/change/", {"role": "admin"})
        assert "needs an owner" in str(response.context["adminform"].form.errors["role"])
        response = client.post(f"{MEMBERS}{mine.pk}/delete/", {"post": "yes"}, follow=True)
        assert "needs an owner" in text(response)
        assert workspace.memberships.get().role == "owner"

    def test_an_owner_who_cannot_log_in_is_no_other_owner(self, client, owner, workspace):
        gone = workspace.memberships.create(user=make_user("gone"), role="owner")
        get_user_model().objects.filter(username="gone").update(is_active=False)
        mine = workspace.memberships.get(user=owner)
        assert client.post(f"{MEMBERS}{mine.pk}/change/", {"role": "member"}).status_code == 200
        assert client.post(f"{MEMBERS}{gone.pk}/change/", {"role": "member"}).status_code == 302
        assert set(workspace.memberships.values_list("role", flat=True)) == {"owner", "member"}

    def test_one_of_two_owners_steps_back(self, client, owner, workspace):
        workspace.memberships.create(user=make_user("other"), role="owner")
        mine = workspace.memberships.get(user=owner)
        assert client.post(f"{MEMBERS}{mine.pk}/change/", {"role": "member"}).status_code == 302
        mine.refresh_from_db()
        assert mine.role == "member"

    def test_nobody_is_added_without_being_asked(self, client, owner):
        assert client.get(f"{MEMBERS}add/").status_code == 403

    def test_a_list_action_removes_nobody(self, client, owner, workspace):
        other = workspace.memberships.create(user=make_user("other"), role="viewer")
        client.post(MEMBERS, {"action": "delete_selected", "_selected_action": [other.pk], "post": "yes"})
        assert workspace.memberships.count() == 2


def _columns(invitation):
    return {field.attname: getattr(invitation, field.attname) for field in invitation._meta.concrete_fields}
