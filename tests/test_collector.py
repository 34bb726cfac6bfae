import gc

import pytest

from webhooks.collector import THRESHOLD, patient_collector


@pytest.fixture(autouse=True)
def threshold():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_it_starts_later_until_the_last_has_ended():
    gc.set_threshold(700, 10, 10)
    with patient_collector():
        with patient_collector():
            assert gc.get_threshold() == (THRESHOLD, 10, 10)
        assert gc.get_threshold() == (THRESHOLD, 10, 10)
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("first", [0, THRESHOLD + 1])
def test_whoever_wants_it_later_still_or_never_is_left_alone(first):
    gc.set_threshold(first, 10, 10)
    with patient_collector():
        assert gc.get_threshold()[0] == first
    assert gc.get_threshold()[0] == first
