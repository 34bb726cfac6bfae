"""Access and quotas of that project's own: whoever is in a team does everything there, a guest looks."""

from django.db.models import Q

from tests.swapped.models import Team
from webhooks.quota import Quota


class TeamAccess:
    def workspaces(self, user):
        if not user.is_active:
            return Team.objects.none()
        mine = Q(people=user.pk) | Q(guests=user.pk)
        return Team.objects.filter(pk__in=Team.objects.filter(mine).values("pk"))

    def may(self, user, workspace, action):
        if not user.is_active:
            return False
        if workspace.people.filter(pk=user.pk).exists():
            return True
        return action == "view" and workspace.guests.filter(pk=user.pk).exists()

    def recipients(self, workspace):
        return [person.email for person in workspace.people.all()]


def quota_of(team):
    return Quota(webhooks=1, events_per_minute=2, days=7) if team.plan == "free" else Quota()
