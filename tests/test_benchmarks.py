"""The benchmarks' own parts: what they count and say, and one small run of the whole. No time is judged."""

import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from django.db import connection, transaction

from benchmarks import plot
from benchmarks.contenders.assignment import Assignment, Figures
from benchmarks.contenders.field import CONTENDERS, QUICK_SCALES, SCALES
from benchmarks.contenders.queue import mark, number_in
from benchmarks.environments import Unavailable
from benchmarks.meter import Meter, peak_memory
from benchmarks.report import Report
from benchmarks.scenarios import SCENARIOS, Section, claim_lines
from benchmarks.stage import wait_until
from benchmarks.statements import _Counter
from benchmarks.surroundings import Surroundings, light_receiver
from benchmarks.tournament import Entry
from tests.processes import ROOT

SVG = "{http://www.w3.org/2000/svg}"
BURN = "sum(range(30_000_000))"
NAMED = {contender.name: contender for contender in CONTENDERS}


def entry(name, *rates, **fields):
    return Entry(NAMED[name], [Figures(rate=rate, **fields) for rate in rates])


def report(tmp_path, entries=(), sections=()):
    return Report(["today"], "nginx", entries, sections, tmp_path)


class TestMeter:
    def test_what_a_grandchild_used_is_counted_after_it_has_ended(self, tmp_path):
        grandchild = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{BURN}'])"
        code = f"{grandchild}; print('burnt', flush=True); sys.stdin.read()"
        command = [sys.executable, "-c", code]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            meter = Meter({"workers": [process.pid]}, tmp_path / "statements")
            first = meter.read()
            process.stdout.readline()
            used = meter.read().processor["workers"] - first.processor["workers"]
            process.stdin.close()
        assert used > 0.1

    def test_the_peak_is_that_of_the_largest_process_of_the_tree(self):
        code = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
        grandchild = "import sys; held = bytearray(90_000_000); print('held', flush=True); sys.stdin.read()"
        command = [sys.executable, "-c", code, grandchild]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            assert 90_000_000 < peak_memory([process.pid]) < 180_000_000
            process.stdin.close()

    def test_a_process_that_is_gone_counts_nothing(self, tmp_path):
        with subprocess.Popen([sys.executable, "-c", ""]) as process:
            process.wait()
        assert Meter({"workers": [process.pid]}, tmp_path / "statements").read().processor == {"workers": 0}


@pytest.mark.django_db
def test_statements_are_counted_but_not_what_begins_and_ends_transactions(tmp_path):
    path = tmp_path / "statements"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    counter = _Counter(file)
    counter.watch(connection)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.execute("SELECT 2")
    finally:
        connection.execute_wrappers.remove(counter.count)
        os.close(file)
    assert path.stat().st_size == 2


class TestReceiver:
    def test_it_answers_each_request_of_a_connection(self, tmp_path):
        with light_receiver(tmp_path / "port", "0") as (url, _):
            for body in (b"", b"x" * 100_000):
                with urllib.request.urlopen(url, data=body, timeout=10) as response:
                    assert (response.status, response.read()) == (200, b"ok")

    def test_it_never_answers_when_told_so(self, tmp_path):
        with light_receiver(tmp_path / "port", "never") as (url, _), pytest.raises(TimeoutError):
            urllib.request.urlopen(url, data=b"x", timeout=0.5)


class TestOutput:
    """What a command that is run for the report says, and when that is not to be trusted."""

    def output(self, folder, code, **options):
        given = Surroundings(folder, folder, "", "", {}, None)
        return given.output([sys.executable, "-c", code], os.environ, **options)

    def test_a_missed_target_is_no_failure(self, tmp_path):
        assert self.output(tmp_path, "print('missed'); raise SystemExit(1)", accepted=(0, 1)) == "missed\n"

    def test_a_complaint_is_one_and_what_was_printed_before_is_kept(self, tmp_path):
        with pytest.raises(Unavailable, match="Not done") as raised:
            self.output(tmp_path, "print('half'); raise SystemExit('Not done')", accepted=(0, 1))
        assert raised.value.printed == "half\n"

    def test_what_takes_too_long_is_ended(self, tmp_path):
        with pytest.raises(Unavailable, match=r"not done within 0\.5 s"):
            self.output(tmp_path, "import time; time.sleep(60)", seconds=0.5)


def test_assignments_and_figures_pass_between_processes_unchanged():
    assignment = Assignment(
        receiver="http://x/", processes=2, webhooks=3, warm_up=4, deliveries=5, watched={"receiver": 6}
    )
    figures = Figures(rate=1.5, processor={"workers": 2.5}, latencies=[3.5])
    assert Assignment.loaded(assignment.dumped()) == assignment
    assert Figures.loaded(figures.dumped()) == figures


def test_an_events_number_is_found_in_whatever_surrounds_it():
    assert number_in(f'{{"data":{{"text":"{mark(17)}"}}}}'.encode()) == 17


def test_every_contender_has_its_numbers_and_a_name_of_its_own():
    assert len(NAMED) == len(CONTENDERS)
    assert not NAMED.keys() & SCENARIOS.keys()
    assert {contender.scale for contender in CONTENDERS} == SCALES.keys() == QUICK_SCALES.keys()


class TestReport:
    def test_ratios_are_those_of_each_round(self):
        assert entry("deliver-2", 100, 300).ratios_to(entry("tasks", 10, 100)) == [10, 3]

    def test_a_missed_target_is_said(self, tmp_path):
        text = report(tmp_path, [entry("deliver-2", 440), entry("tasks", 10)]).text()
        assert "| ≥ 45 | 44.0 (44.0 – 44.0) | missed |" in text

    def test_a_reached_target_is_said(self, tmp_path):
        text = report(tmp_path, [entry("sqlite-2", 120), entry("tasks-sqlite", 10)]).text()
        assert "| ≥ 12 | 12.0 (12.0 – 12.0) | reached |" in text

    def test_what_is_on_sqlite_is_compared_with_tasks_on_sqlite(self, tmp_path):
        entries = [entry("sqlite-2", 120), entry("tasks", 60), entry("tasks-sqlite", 10)]
        row = next(
            line for line in report(tmp_path, entries).text().splitlines() if "on SQLite, django" in line
        )
        assert row.split(" | ")[2] == "12.0 (12.0 – 12.0)"

    def test_what_could_not_be_measured_is_named_with_its_reason(self, tmp_path):
        text = report(tmp_path, [Entry(NAMED["wrk"], failure="there is no wrk")]).text()
        assert "- wrk, two threads: there is no wrk" in text

    def test_what_was_printed_before_a_failure_is_kept(self, tmp_path):
        section = Section(scenario=SCENARIOS["memory"], printed="one line", failure="not done within 1 s")
        text = report(tmp_path, [], [section]).text()
        assert "not done within 1 s" in text
        assert "```text\none line\n```" in text

    def test_it_is_written_with_the_plots_that_it_shows(self, tmp_path):
        printed = "pending webhooks taken median most\n10,000 1 8 1.5 2.0\n1,000,000 1 8 2.5 3.0"
        section = Section(scenario=SCENARIOS["claims"], printed=printed, lines=claim_lines(printed))
        report(tmp_path, [entry("curl", 9), entry("wrk", 12)], [section]).write(tmp_path)
        shown = re.findall(r"!\[.+\]\((.+)\)", (tmp_path / "benchmarks.md").read_text())
        assert shown == ["benchmarks/throughput.svg", "benchmarks/claims.svg"]
        assert all((tmp_path / path).exists() for path in shown)


def test_the_table_of_claims_is_read_as_lines():
    printed = (
        "   pending  webhooks  taken  median ms  most ms\n"
        "    10,000    10,000    512       31.5    106.0\n"
        " 1,000,000    10,000    512       32.5    106.0\n"
        " 1,000,000    behind      1      579.2    861.0"
    )
    assert claim_lines(printed) == {
        "webhooks: 10,000": [(10_000, 31.5), (1_000_000, 32.5)],
        "behind a full webhook": [(1_000_000, 579.2)],
    }


class TestPlot:
    def test_longer_bars_are_greater_values_and_names_are_escaped(self):
        given = [
            plot.Bar(name="<one>", value=10, least=9, most=11),
            plot.Bar(name="two", value=1000, least=900, most=1100),
        ]
        root = ET.fromstring(plot.bars("Title", "axis", given))  # noqa: S314  we wrote it
        widths = [float(bar.get("width")) for bar in root.iter(f"{SVG}rect") if bar.get("class") != "page"]
        assert widths[0] < widths[1]
        assert {"<one>", "two", "Title", "axis"} <= {text.text for text in root.iter(f"{SVG}text")}

    def test_lines_rise_with_their_values_and_both_axes_are_named(self):
        svg = plot.lines("Title", "rows", "ms", {"a": [(10, 1), (1000, 100)], "b": [(10, 5), (1000, 5)]})
        root = ET.fromstring(svg)  # noqa: S314  we wrote it
        rising, flat = (
            [tuple(map(float, point.split(","))) for point in line.get("points").split()]
            for line in root.iter(f"{SVG}polyline")
        )
        assert rising[0][1] > rising[1][1]  # y grows downwards
        assert flat[0][1] == flat[1][1]
        assert {"rows", "ms", "a", "b"} <= {text.text for text in root.iter(f"{SVG}text")}

    def test_there_are_colours_for_dark_pages(self):
        assert "prefers-color-scheme: dark" in plot.bars(
            "", "", [plot.Bar(name="", value=2, least=1, most=3)]
        )


@pytest.fixture
def folder():
    """A folder with a short path, as Unix sockets need it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@contextmanager
def benchmarking(folder, *arguments):
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks", "--quick", "--only", "curl", *arguments]
    environment = {**os.environ, "TMPDIR": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **streams) as process:
        try:
            yield process
        finally:
            process.kill()


def test_one_command_measures_and_leaves_nothing_but_its_report(folder):
    with benchmarking(folder, "--output", folder / "docs") as process:
        printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    assert "bare CurlMulti" in (folder / "docs" / "benchmarks.md").read_text()
    assert (folder / "docs" / "benchmarks" / "throughput.svg").exists()
    assert not list(folder.glob("webhooks-benchmark-*"))


def test_a_killed_run_leaves_no_process_behind(folder):
    with benchmarking(folder) as process:
        assert process.stdout.readline()  # the first contender has been measured, all are running
        pids = [
            int(path.read_text().split()[0])
            for name in ("data/postmaster.pid", "nginx.pid")
            for path in folder.glob(f"webhooks-benchmark-*/{name}")
        ]
        assert pids
        process.kill()
        wait_until(lambda: not any(is_running(pid) for pid in pids), 30)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
