"""The oracle must find what it is there to find."""

from dataclasses import replace

import pytest

from .oracle import Attempt, Delivery, Kill, Request, examine

ONCE = Request(at=10, delivery=1, attempt=1, event="e", digest="d", signature="s", sender=100)
AGAIN = replace(ONCE, at=30, sender=200)
DONE = Delivery(id=1, event="e", status="succeeded", attempts=(Attempt(1, "d"),))
KILLED = Kill(at=11, pid=100)


def violations(requests, kills=(), delivery=DONE, **options):
    return " ".join(examine(requests, kills, [delivery], **options).violations)


def test_what_was_sent_once_and_recorded_is_right():
    assert examine([ONCE], [], [DONE]).violations == ()


def test_a_loss_is_found():
    assert "never received" in violations([])
    assert "stayed as pending" in violations([ONCE], delivery=replace(DONE, status="pending"))
    assert "ended or stayed as failed" in violations([ONCE], delivery=replace(DONE, status="failed"))


def test_a_repeat_is_explained_by_the_death_of_its_first_sender():
    finding = examine([ONCE, AGAIN], [KILLED], [DONE])
    assert finding.violations == ()
    assert finding.repeated == 1


@pytest.mark.parametrize(
    "kills",
    [[], [Kill(11, 200)], [Kill(5, 100)], [Kill(31, 100)]],
    ids=["nobody", "another", "before", "afterwards"],
)
def test_a_repeat_without_that_death_is_found(kills):
    assert "received 2 times, recorded 1 times, explained by 0 kills" in violations([ONCE, AGAIN], kills)


def test_one_death_explains_one_repeat_only():
    thrice = [ONCE, replace(ONCE, at=12), AGAIN]
    assert "received 3 times" in violations(thrice, [Kill(13, 100)])


def test_a_repeat_within_the_lease_is_found_though_its_sender_died():
    early = replace(AGAIN, at=13)
    assert "explained by 0 kills" in violations([ONCE, early], [KILLED], soonest_repeat=10)
    assert violations([ONCE, AGAIN], [KILLED], soonest_repeat=10) == ""


def test_who_was_gone_before_he_could_be_asked_for_died_then():
    unknown = replace(ONCE, sender=None)
    assert violations([unknown, AGAIN], [KILLED]) == ""
    assert "received 2 times" in violations([unknown, AGAIN], [replace(KILLED, at=20)])


def test_a_recorded_retry_is_no_repeat():
    retried = replace(DONE, attempts=(Attempt(1, "d"), Attempt(2, "d")))
    assert violations([ONCE, replace(ONCE, at=12, attempt=2)], delivery=retried) == ""


def test_an_attempt_that_nobody_received_is_found():
    imagined = replace(DONE, attempts=(Attempt(1, "d"), Attempt(2, "d")))
    assert "attempt 2: received 0 times, recorded 1 times" in violations([ONCE], delivery=imagined)


def test_a_repeat_with_other_bytes_is_found():
    for change in ({"digest": "x"}, {"event": "x"}, {"signature": "x"}):
        assert "requests differ" in violations([ONCE, replace(AGAIN, **change)], [KILLED])
    assert "not what was received" in violations(
        [ONCE], delivery=replace(DONE, attempts=(Attempt(1, "other"),))
    )


def test_what_nobody_owes_is_found():
    assert "nobody owes it" in violations([ONCE, replace(ONCE, delivery=9)])
