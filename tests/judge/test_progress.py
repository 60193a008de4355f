"""What a run tells while it is under way: bars for people, events and metrics for machines, and nothing where nobody asked."""

import codecs
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import mill as mills
import pyarrow as pa
import pytest
import served
from mill import KEY_SPLIT, step, write
from prometheus_client.parser import text_string_to_metric_families

ROWS = 30_000
STEPS = [
    step("impute", ["x"], strategy="median") | {"name": "fill"},
    step("scale", ["x"], method="standard"),
    step("encode", ["s"], method="onehot"),
]
# Batches of few rows take long enough for a signal, and for an event of progress.
SLOW = ["--batch-rows", "4", "--workers", "1"]
STAGE_KEYS = {"version", "event", "time", "stage", "number", "pass", "steps", "part"}
KEYS = {
    "begun": {"command", "wafermill", "process"},
    "stage_begun": STAGE_KEYS | {"rows_expected"},
    "progress": STAGE_KEYS
    | {"seconds", "rows", "rows_expected", "bytes", "rows_per_second", "seconds_left", "memory_bytes", "spilled_bytes", "restarts"},
    "stage_ended": STAGE_KEYS | {"seconds", "rows", "bytes"},
    "warning": {"message"},
    "note": {"message"},
    "report": {"report"},
    "error": {"kind", "message", "file", "file_line", "file_column", "step", "plugin", "digest", "call", "column", "fragment", "rows", "batch", "causes", "log", "backtrace", "dump", "hint", "exit_status"},
    "done": {"seconds", "rows", "destination", "peak_memory_bytes", "exit_status"},
}


@pytest.fixture(scope="module")
def table():
    ids = range(ROWS)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "x": pa.array([None if row % 10 == 3 else (row * 7919 % 10_007) / 3 for row in ids]),
            "s": pa.array([f"word {row % 23}" for row in ids]),
        }
    )


def events(said):
    """The events of a run, each checked against the schema; there is nothing else."""
    read = [json.loads(line) for line in said.splitlines()]
    for event in read:
        assert event["version"] == 1 and event["time"] > 1.7e9
        unknown = event.keys() - KEYS[event["event"]] - {"version", "event", "time"}
        assert not unknown, event
    assert [event["time"] for event in read] == sorted(event["time"] for event in read)
    return read


def named(read, name):
    return [event for event in read if event["event"] == name]


def test_events_tell_of_each_stage_with_its_rows(mill, table):
    ran = mill.start("run", table, STEPS, split=KEY_SPLIT, arguments=["--progress", "json", "--json"])
    assert ran.status == 0, ran.stderr
    read = events(ran.stderr)
    assert read[0]["event"] == "begun" and read[-1]["event"] == "done"
    report = json.loads(ran.stdout)
    begun, ended = named(read, "stage_begun"), named(read, "stage_ended")
    assert [event["number"] for event in begun] == list(range(1, len(begun) + 1)) == [event["number"] for event in ended]
    assert [(event["stage"], event.get("pass")) for event in begun] == [
        stage for number in range(1, len(report["passes"]) + 1) for stage in (("fit", number), ("finish", number))
    ] + [("apply", None), ("publish", None)]
    fits = [event for event in ended if event["stage"] == "fit"]
    assert [event["steps"] for event in fits] == [one["steps"] for one in report["passes"]]
    assert all(event["rows"] == ROWS and event["bytes"] >= 8 * ROWS for event in fits)
    done = read[-1]
    assert (done["rows"], done["destination"], done["exit_status"]) == (ROWS, str(ran.out), 0)
    assert 5e6 < done["peak_memory_bytes"] < 2e9 and done["seconds"] >= report["seconds"] > 0


def test_progress_is_told_at_most_once_a_second(mill, table):
    rows, told = 6_000, []
    # Until there are enough rows for this machine: an event is due when a pass has taken a second.
    while len(told) < 2 and rows < 10_000_000:
        rows *= 2
        many = pa.concat_tables([table] * (rows // len(table) + 1)).slice(0, rows)
        ran = mill.start("run", many, STEPS, split=KEY_SPLIT, arguments=["--progress", "json", *SLOW])
        assert ran.status == 0, ran.stderr
        told = named(events(ran.stderr), "progress")
    assert len(told) > 1
    times = [event["time"] for event in told]
    assert all(later - earlier > 0.95 for earlier, later in zip(times, times[1:], strict=False))
    for event in told:
        assert 0 < event["rows"] <= event["rows_expected"] == rows and event["memory_bytes"] > 5e6
        assert event["rows_per_second"] == pytest.approx(event["rows"] / event["seconds"], rel=0.01)
        left = (rows - event["rows"]) / event["rows_per_second"]
        assert left - 0.1 <= event["seconds_left"] <= left + 1.1


def test_a_shuffle_tells_of_its_merge_and_a_spilled_part_of_its_writing(mill, table):
    shuffled = mill.start("run", table, STEPS, output={"order": "hash"}, arguments=["--progress", "json", "--spill-past", "512KiB"])
    assert shuffled.status == 0, shuffled.stderr
    [merge] = [event for event in named(events(shuffled.stderr), "stage_ended") if event["stage"] == "merge"]
    assert merge["rows"] == ROWS and merge["bytes"] > 0
    spilled = mill.start("run", table, STEPS, split=KEY_SPLIT, arguments=["--progress", "json", "--spill-past", "32KiB", "--json"])
    assert spilled.status == 0, spilled.stderr
    written = [event for event in named(events(spilled.stderr), "stage_ended") if event["stage"] == "write_spilled_rows"]
    assert written and {event["part"] for event in written} <= {"val", "test", "train"}
    assert json.loads(spilled.stdout)["output"]["spilled_bytes"] > 0


def test_an_error_is_the_last_event(mill, table):
    ran = mill.start("run", table, [step("scale", ["s"])], arguments=["--progress", "json"])
    assert ran.status == 1 and ran.stdout == b""
    read = events(ran.stderr)
    error = read[-1]
    assert (error["event"], error["step"], error["column"], error["exit_status"]) == ("error", "scale", "s", 1)
    assert error["file"].endswith("pipeline.toml") and error["file_line"] > 1 and not named(read, "done")
    wrong = mill.call("run", "--progress=json", "--no-such-option")
    [error] = events(wrong.stderr)
    assert wrong.status == 2 == error["exit_status"] and error["kind"] == "command_line"


def test_a_list_and_its_report_do_not_mix_with_events(mill, table):
    ran = mill.start("run", table, STEPS, output={"aggregate": "list"}, arguments=["--progress", "json", "--json"])
    assert ran.status == 0
    [report] = named(events(ran.stderr), "report")
    assert report["report"]["rows"] == ROWS == pa.ipc.open_stream(ran.stdout).read_all().num_rows
    plain = mill.start("run", table, STEPS, output={"aggregate": "list"}, arguments=["--progress", "json"])
    assert events(plain.stderr)[-1]["event"] == "done"


def begin(mill, table, *arguments, **options):
    pipeline, out = mill.prepare(table, STEPS, KEY_SPLIT, None)
    command = [mill.binary, "run", str(pipeline), "--out", str(out), "--plugins", mill.plugins, *arguments]
    return subprocess.Popen(command, **options), out


def wait_for(process, path):
    while not path.exists():
        assert process.poll() is None, "the run ended too early"
        time.sleep(0.005)


def test_a_run_that_is_told_to_stop_ends_with_a_note_and_an_error(mill, table, tmp_path):
    metrics = tmp_path / "run.prom"
    arguments = [*SLOW, "--progress", "json", "--metrics", str(metrics)]
    process, out = begin(mill, table, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(process, out.parent / f".{out.name}.run" / "fit.json")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == 130
    read = events(said)
    [note] = named(read, "note")
    assert "wafermill resume" in note["message"]
    assert (read[-1]["event"], read[-1]["kind"], read[-1]["exit_status"]) == ("error", "interrupted", 130)
    assert len(named(read, "stage_begun")) == len(named(read, "stage_ended"))
    assert state(families(metrics)) == "interrupted"
    resumed = mill.call("resume", out, "--plugins", mill.plugins, "--progress", "json", "--metrics", metrics)
    assert resumed.status == 0, resumed.stderr
    assert events(resumed.stderr)[-1]["event"] == "done" and state(families(metrics)) == "succeeded"


def families(path):
    """The samples of a file of metrics, by name and labels."""
    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        assert family.type in ("gauge", "counter") and family.documentation
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def state(found):
    [name] = [dict(labels)["state"] for (name, labels), value in found.items() if name == "wafermill_run_state" and value == 1]
    return name


def test_metrics_are_what_the_report_tells(mill, table, tmp_path):
    metrics = tmp_path / "run.prom"
    ran = mill.start("run", table, STEPS, split=KEY_SPLIT, arguments=["--metrics", metrics, "--json", "--spill-past", "32KiB"])
    assert ran.status == 0 and ran.stderr == ""
    report, found = json.loads(ran.stdout), families(metrics)
    passes = len(report["passes"]) + 1
    assert state(found) == "succeeded"
    assert found["wafermill_passes_total", ()] == passes and found["wafermill_rows_read_total", ()] == passes * ROWS
    assert found["wafermill_bytes_spilled_total", ()] == report["output"]["spilled_bytes"] + report["spilled_partials"] > 0
    assert found["wafermill_peak_memory_bytes", ()] >= found["wafermill_memory_bytes", ()] > 5e6
    assert found["wafermill_run_seconds", ()] >= report["seconds"]
    for one in report["steps"]:
        for activity in ("fit", "apply"):
            seconds = found["wafermill_step_seconds_total", (("activity", activity), ("step", one["name"]))]
            assert seconds == pytest.approx(one[f"{activity}_seconds"], abs=0.002)
    for number, one in enumerate(report["passes"], 1):
        labels = (("pass", str(number)), ("stage", "fit"), ("steps", ",".join(one["steps"])))
        assert found["wafermill_stage_rows_total", labels] == ROWS
        assert 0 < found["wafermill_stage_seconds_total", labels] <= one["seconds"] + 0.01
    for part in report["output"]["parts"]:
        assert found["wafermill_part_rows", (("part", part["name"]),)] == part["rows"]
    assert os.stat(metrics).st_mode & 0o444 == 0o444, "another user collects them"
    assert [path.name for path in tmp_path.iterdir()] == ["run.prom"]


def test_metrics_of_a_run_that_fails_say_so_and_restarts_are_counted(mill, table, tmp_path):
    metrics = tmp_path / "run.prom"
    failed = mill.start("run", table, [step("scale", ["s"])], arguments=["--metrics", metrics])
    assert failed.status == 1 and state(families(metrics)) == "failed"
    with served.serve(tmp_path, {"t": table}, "--message-rows", 100, "--fault", "0:1000:unavailable") as address:
        ran = mill.start("fit", served.source(address, "t", max_streams=2), STEPS, arguments=["--metrics", metrics])
    assert ran.status == 0, ran.stderr
    found = families(metrics)
    assert found["wafermill_stream_restarts_total", ()] >= 1 and found["wafermill_bytes_billed_total", ()] > 0


def test_metrics_are_whole_at_any_time(mill, table, tmp_path):
    metrics = tmp_path / "run.prom"
    process, _ = begin(mill, table.slice(0, 6_000), *SLOW, "--metrics", str(metrics), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_for(process, metrics)
    seen = 0
    while process.poll() is None:
        assert state(families(metrics)) in ("running", "succeeded")
        seen += 1
        time.sleep(0.05)
    assert process.returncode == 0 and seen > 3


def test_metrics_that_cannot_be_written_are_refused_before_anything_is_done(mill, table, tmp_path):
    said = mill.start("run", table, STEPS, arguments=["--metrics", tmp_path / "no" / "run.prom"])
    assert said.status == 1 and "the metrics cannot be written" in said.stderr and not said.out.exists()


def test_metrics_are_not_kept_where_the_dataset_is_to_be_or_its_run_works(mill, table):
    pipeline, out = mill.prepare(table, STEPS, KEY_SPLIT, None)
    pipeline.write_text(pipeline.read_text() + f'[output]\npath = "{out.name}"\n')
    before = sorted(out.parent.iterdir())
    for metrics in (out, out / "run.prom", out / "train/x", out.parent / ".out.run/x", out.parent):
        for command in (["run", pipeline], ["run", pipeline, "--out", out], ["fit", pipeline], ["apply", out / "model", out, "--out", out], ["resume", out]):
            ran = mill.call(*command, "--metrics", metrics)
            assert ran.status == 1 and "metrics cannot be kept where the dataset is to be" in ran.stderr, command
            assert sorted(out.parent.iterdir()) == before


@pytest.mark.parametrize("arguments", [[], ["--quiet"], ["--progress", "none"]], ids=["auto", "quiet", "none"])
def test_without_a_terminal_nothing_is_told(mill, table, arguments):
    ran = mill.start("run", table, STEPS, split=KEY_SPLIT, arguments=arguments)
    assert ran.status == 0 and ran.stderr == ""
    assert (ran.stdout == b"") == ("--quiet" in arguments)


def test_lines_are_told_on_demand_without_a_terminal(mill, table):
    ran = mill.start("run", table, STEPS, split=KEY_SPLIT, arguments=["--progress", "bar"])
    lines = ran.stderr.splitlines()
    assert ran.status == 0 and lines[0].startswith("fit 1: fill, encode  100 %  30,000/30,000 rows") and "\x1b" not in ran.stderr
    assert any(line.startswith("apply  100 %") for line in lines)


class Screen:
    """As much of a terminal as a bar needs: lines, the cursor, and what clears."""

    def __init__(self, columns):
        self.columns, self.lines, self.row, self.column = columns, [""], 0, 0

    def feed(self, text):
        for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x1b]|\x1b", text):
            if token == "\r":
                self.column = 0
            elif token == "\n":
                self.down(1)
            elif token.startswith("\x1b["):
                self.control(token[2:-1], token[-1])
            else:
                if self.column == self.columns:
                    self.down(1)
                    self.column = 0
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + token + line[self.column + 1 :]
                self.column += 1

    def down(self, rows):
        self.row += rows
        self.lines += [""] * (self.row + 1 - len(self.lines))

    def control(self, number, letter):
        count = int(number or 1) if number.isdigit() or not number else None
        match letter:
            case "A":
                self.row = max(self.row - count, 0)
            case "B":
                self.down(count)
            case "C":
                self.column += count
            case "D":
                self.column = max(self.column - count, 0)
            case "G":
                self.column = count - 1
            case "K":
                self.lines[self.row] = "" if number == "2" else self.lines[self.row][: self.column]
            case "J":
                self.lines[self.row] = self.lines[self.row][: self.column]
                del self.lines[self.row + 1 :]
            case _:
                raise AssertionError(f"a terminal is not asked for {number!r} {letter!r}")

    def text(self):
        return "\n".join(line.rstrip() for line in self.lines).rstrip()


def on_terminal(mill, table, columns, *arguments, interrupt=False, environment=None):
    """Runs a pipeline on a terminal; gives all that it was shown, and what is left of it in the end."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    env = os.environ | {"TERM": "xterm-256color"} | (environment or {})
    process, out = begin(mill, table, *arguments, stdout=subprocess.DEVNULL, stderr=follower, stdin=subprocess.DEVNULL, env=env)
    os.close(follower)
    decoder, unread = codecs.getincrementaldecoder("utf-8")(), ""
    screen, shown, raw = Screen(columns), set(), b""
    while True:
        if select.select([leader], [], [], 60)[0]:
            try:
                data = os.read(leader, 1 << 16)
            except OSError:
                break
            if not data:
                break
            raw += data
            unread += decoder.decode(data)
            # Of a sequence that is cut off the rest comes next.
            whole = re.sub(r"\x1b(\[[0-9;?]*)?$", "", unread)
            screen.feed(whole)
            unread = unread[len(whole) :]
            shown.add(screen.text())
        if interrupt and any("fit 2" in text for text in shown):
            process.send_signal(signal.SIGINT)
            interrupt = False
    os.close(leader)
    process.wait()
    return process.returncode, raw.decode(), shown, screen.text()


@pytest.mark.parametrize("columns", [200, 80, 31, 12])
def test_a_bar_tells_all_on_a_terminal_of_any_width_and_leaves_nothing(mill, table, columns):
    some = table.slice(0, 5_000)
    status, raw, shown, left = on_terminal(mill, some, columns, *SLOW, environment={"NO_COLOR": "1"})
    assert status == 0 and left == ""
    assert not re.search(r"\x1b\[[0-9;]*m", raw), "there is no colour"
    frames = [re.sub(r"\s+", "", text) for text in shown]
    assert any(re.search(r"apply.*\d%.*/5,000rows.*rows/s.*[KM]iB/s.*(sleft|:\d\d left).*MiBmemory", text) for text in frames), max(frames, key=len)
    assert ("█" in raw) == (columns > 12)


def test_an_interrupted_run_leaves_its_messages_only_on_the_terminal(mill, table):
    status, _, shown, left = on_terminal(mill, table, 100, *SLOW, interrupt=True)
    assert status == 130 and any("fit 2" in text for text in shown)
    joined = left.replace("\n", "")
    assert re.fullmatch(r"note: `wafermill resume .*` goes on from here, .*error: interrupted", joined), left


@pytest.mark.parametrize(("arguments", "environment"), [(["--quiet"], {}), (["--progress", "none"], {}), ([], {"TERM": "dumb"})])
def test_a_terminal_shows_no_bar_where_none_is_wanted(mill, table, arguments, environment):
    status, raw, _, _ = on_terminal(mill, table.slice(0, 2_000), 100, *arguments, *SLOW, environment=environment)
    assert (status, raw) == (0, "")


def test_what_is_told_changes_no_byte(mill, table, tmp_path):
    source = write(table, tmp_path / "t.parquet")
    plain = mill.run(source, STEPS, split=KEY_SPLIT)
    for arguments in (["--progress", "json", "--metrics", tmp_path / "m.prom"], ["--progress", "bar"], ["-q"]):
        ran = mill.start("run", source, STEPS, split=KEY_SPLIT, arguments=arguments)
        assert mills.Dataset(ran.out).digests() == plain.digests()
