"""Another BigQuery: local-bigquery, an emulator that knows SQL and is nobody's of ours, so that it errs in other ways than our test server.

A test takes the fixture `emulator` of `conftest.py`. It is started once for all tests, on free ports, with data that is thrown away:

    def test_something(emulator):
        client = emulator.client("billing")        # Google's client of the REST API, `bigquery.Client`
        client.create_dataset("data.set", exists_ok=True)
        emulator.load("data.set.people", table)    # a pyarrow table, through a load job
        with emulator.storage() as storage:        # Google's `BigQueryReadClient`
            ...
        emulator.rest, emulator.grpc               # "http://127.0.0.1:…", for other clients

Any project exists; datasets must be created; tests share them, so each takes a dataset or tables of its own. Its Python (3.13 to 3.15) has an
environment of its own in the target folder, made once (20 s, 0.6 GB). It is pinned to DuckDB 1.5.5, older than it asks for, because that is
the newest one whose extensions are on PyPI; what is tested here runs on it.

Where it differs from BigQuery (version 0.4.0, each tried):

Read sessions
- Nobody is refused anything: credentials and the session's parent are ignored; the session's name has the table's project.
- Ignored without an error: compression of buffers (they come uncompressed) and of responses, sample_percentage, snapshot_time, and
  selected_fields that don't exist, of which nested ones (`a.b`) are some.
- A session is no snapshot: each ReadRows reads the table as it is then. Of a stream whose rows were deleted it gives those that are left, and
  ends cleanly. Views are read as if they were tables, and evaluated anew for each stream.
- Rows have the order of the loaded file up to a million rows, and beyond that another one, which is the same each time.
- There is one stream for each 100,000 rows, or as many as are asked for if those are fewer; none for no rows.
- All messages carry the schema. A message has up to 1,000,000 rows: clients need a larger limit than gRPC's 4 MB.
- An offset may be at most the number of rows that this stream has sent before: 0 at first. The end is a clean end then; beyond it is
  FAILED_PRECONDITION ("offset N has not been allocated yet"), a negative offset INVALID_ARGUMENT. A new session can't be read from an
  offset on.
- Progress is reported for each message, exactly. Responses have a row_count, Arrow batches none.
- estimated_total_bytes_scanned is rows × columns × 8.
- An unknown stream is NOT_FOUND, a row_restriction that isn't SQL INVALID_ARGUMENT, with texts of its own. SplitReadStream works.

Arrow
- No field has metadata: it doesn't tell JSON, GEOGRAPHY and INTERVAL, which are strings.
- BIGNUMERIC is decimal128(38, 18), RANGE a struct of `__range_start` and `__range_end`, and the items of lists are called `l`.
- All columns are nullable, REQUIRED ones as well; lists are never null.

REST
- Errors have Google's shape, most of them Google's texts; where the dataset is missing, it is the table that is not found.
- The type of a RANGE column is `RANGE<DATE>`, without a rangeElementType.
- A TIMESTAMP without useInt64Timestamp is `1709168523.456789`, not `1.709168523456789E9`, and timestampOutputFormat is ignored. Doubles
  are written as `1e+300`, not `1.0E300`.
- tabledata.list leaves out nested selectedFields. A page has 100,000 rows at most, whatever their bytes.
- A job that takes less than a second is DONE in the answer to jobs.insert. Jobs are in US, and `location` is ignored.
- No query has bytes: totalBytesProcessed is 0, in a dry run too, and maximumBytesBilled never refuses. Legacy SQL is read as standard SQL.
- The table of a query's result is `_results.JOB` in the job's project. Its name has hyphens, and no two jobs share one.
"""

import contextlib
import fcntl
import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import grpc
import pyarrow.parquet as pq
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

REQUIREMENTS = Path(__file__).parent / "emulator-requirements.txt"
# What a machine may take at most to start it.
STARTS_WITHIN = 60


class Emulator:
    """A running emulator."""

    def __init__(self, rest, grpc):
        self.rest = f"http://127.0.0.1:{rest}"
        self.grpc = f"http://127.0.0.1:{grpc}"

    def client(self, project="billing"):
        """Google's client of the REST API, whose jobs are the project's."""
        options = {"api_endpoint": self.rest}
        return bigquery.Client(project, credentials=AnonymousCredentials(), client_options=options)

    @contextlib.contextmanager
    def storage(self):
        """Google's client of the Storage Read API."""
        options = [("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(self.grpc.removeprefix("http://"), options) as channel:
            yield BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))

    def load(self, name, table, schema=None):
        """Writes rows to a table, which has them and no others afterwards; a schema gives it types that Parquet doesn't have."""
        file = io.BytesIO()
        pq.write_table(table, file)
        file.seek(0)
        options = {"source_format": "PARQUET", "write_disposition": "WRITE_TRUNCATE"}
        if schema is not None:
            options["schema"] = schema
        self.client().load_table_from_file(file, name, job_config=bigquery.LoadJobConfig(**options)).result()

    @classmethod
    @contextlib.contextmanager
    def start(cls, data):
        """Starts an emulator that keeps its data in a folder; skips the test where there is no Python for it."""
        environment = install(python())
        # A port may be taken by somebody else between the look for it and the start.
        for _ in range(3):
            rest, storage = free_port(), free_port()
            with open(data / "emulator.log", "wb") as log:
                command = [environment / "venv/bin/local-bigquery", "--host", "127.0.0.1", "--data-dir", data / "data"]
                # Any variable of the environment may be a setting of it.
                variables = {"HOME": environment / "home", "PATH": os.environ["PATH"]}
                server = subprocess.Popen(
                    [*command, "--port", str(rest), "--grpc-port", str(storage)],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=variables,
                )  # fmt: skip
            try:
                if answers(server, f"http://127.0.0.1:{rest}/bigquery/v2/projects/local/datasets"):
                    yield cls(rest, storage)
                    return
            finally:
                stop(server)
        raise RuntimeError(f"the emulator did not start:\n{(data / 'emulator.log').read_text()}")


def python():
    """A Python that the emulator runs on."""
    versions = ["3.13", "3.14", "3.15"]
    found = [path for version in versions if (path := shutil.which(f"python{version}"))]
    found += [str(path) for version in versions for path in sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python3"))]
    for path in [sys.executable, *found]:
        # A shim of pyenv may be there without its Python.
        asked = subprocess.run([path, "-c", "import sys, venv; print(*sys.version_info[:2], sep='.')"], capture_output=True, text=True)
        if asked.returncode == 0 and asked.stdout.strip() in versions:
            return path
    pytest.skip("the emulator of BigQuery needs Python 3.13, 3.14 or 3.15")


def install(python):
    """Makes the emulator's environment, unless there is one already, and returns its folder."""
    folder = Path(os.environ["WAFERMILL_TEST_BIGQUERY"]).resolve().parents[1] / "emulator"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed, required = folder / "installed.txt", REQUIREMENTS.read_text()
        # Written last, so that an environment half made is made again.
        if installed.exists() and installed.read_text() == required:
            return folder
        subprocess.run([python, "-m", "venv", "--clear", folder / "venv"], check=True)
        interpreter = folder / "venv/bin/python"
        # The list is complete, and the emulator would ask for a DuckDB whose extensions can't be had.
        command = [interpreter, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
        subprocess.run([*command, "--requirement", REQUIREMENTS], check=True)
        place_extensions(folder, interpreter)
        installed.write_text(required)
    return folder


def place_extensions(folder, interpreter):
    """Puts DuckDB's extensions where it looks for them, so that it doesn't fetch them."""
    question = "import duckdb; print(duckdb.__version__, *duckdb.sql('PRAGMA platform').fetchone())"
    version, platform = subprocess.run([interpreter, "-c", question], check=True, capture_output=True, text=True).stdout.split()
    place = folder / f"home/.duckdb/extensions/v{version}/{platform}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for extension in folder.glob(f"venv/lib/python3.*/site-packages/duckdb_extension_*/extensions/v{version}/*.duckdb_extension"):
        (place / extension.name).symlink_to(extension)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def answers(server, url):
    """Waits until a server answers; false if it ended."""
    until = time.monotonic() + STARTS_WITHIN
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=STARTS_WITHIN):
            return True
        time.sleep(0.05)
    return False


def stop(server):
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
