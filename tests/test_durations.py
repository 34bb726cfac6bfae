import pytest

from webhooks import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", [5]),
        ("5s, 1m, 2h", [5, 60, 7200]),
        (" 5 S ,1M,  1 d", [5, 60, 86400]),
        ("90", [90]),
        ("1.5h", [5400]),
        ("0.25s", [0.25]),
        ("0", [0]),
    ],
)
def test_what_people_write_is_read_as_seconds(text, seconds):
    assert durations.seconds(text) == seconds


def test_whole_seconds_are_whole_numbers():
    assert [type(value) for value in durations.seconds("1.5h, 0.5s")] == [int, float]


@pytest.mark.parametrize(
    "text",
    ["", " ", ",", "5s,", "5s 1m", "5 weeks", "-5s", "1e3", "five", "٥s", "5s\x00", "inf", "9999999999s"],
)
def test_what_is_no_duration_is_an_error_that_says_how_to_write_one(text):
    with pytest.raises(ValueError, match="30s, 5m, 2h or 1d"):
        durations.seconds(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ([5, 60, 7200, 86400], "5s, 1m, 2h, 1d"),
        ([90, 3601, 5400], "90s, 3601s, 90m"),
        ([0.25, 60.5, 86399.125], "0.25s, 60.5s, 86399.125s"),
        ([2592000], "30d"),
        ([], ""),
    ],
)
def test_seconds_are_written_in_the_largest_unit_that_divides_them(seconds, text):
    assert durations.text(seconds) == text
    assert not seconds or durations.seconds(text) == seconds
