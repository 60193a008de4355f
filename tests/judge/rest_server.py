"""What the tests of the REST API share: servers with tables, Google's clients of them, and what these should give.

A module of tests imports the fixtures that it uses.
"""

import contextlib
import json
import os
import subprocess

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport
from types_of_bigquery import all_types

ROWS = 2_003
SQL = "SELECT name, COUNT(*) AS n\n  FROM `data.set.people` WHERE name != 'x=y' GROUP BY name"


@pytest.fixture(scope="module")
def table():
    return all_types(ROWS)


@pytest.fixture(scope="module")
def folder(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rest")
    pq.write_table(table, folder / "people.parquet", row_group_size=500)
    pq.write_table(table.slice(0, 0), folder / "empty.parquet")
    pq.write_table(pa.table({"text": ["x" * 100_000] * 250}), folder / "wide.parquet")
    return folder


class Server:
    """A server and Google's clients of it."""

    def __init__(self, address, project="billing"):
        self.url = address
        options = {"api_endpoint": address}
        self.client = bigquery.Client(project, credentials=AnonymousCredentials(), client_options=options)

    @contextlib.contextmanager
    def storage(self):
        options = [("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(self.url.removeprefix("http://"), options) as channel:
            yield BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))

    def get(self, path, **parameters):
        """The answer to a request that is made without the client."""
        return requests.get(f"{self.url}/bigquery/v2/projects/{path}", parameters, timeout=5)


@pytest.fixture(scope="module")
def serve(folder):
    """Starts servers of the same tables with further options."""

    @contextlib.contextmanager
    def serve(*options):
        command = [os.environ["WAFERMILL_TEST_BIGQUERY"], "--view", "data.set.view=data.set.people", "--view", "data.set.blind"]
        command += ["--query", f"{SQL}=data.set.wide", "--query", "SELECT 1=data.set.empty"]
        for name in ["people", "empty", "wide"]:
            command += ["--table", f"data.set.{name}={folder / name}.parquet"]
        with subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            address = server.stdout.readline().strip()
            assert address, "the server did not start"
            yield Server(address)
            server.stdin.close()

    return serve


@pytest.fixture(scope="module")
def server(serve):
    with serve() as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    return server.client


def expected(table):
    """Rows as Google's client gives them: no lists are null, and JSON is parsed."""
    rows = table.to_pylist()
    for row in rows:
        for name, value in row.items():
            if value is None and pa.types.is_list(table.schema.field(name).type):
                row[name] = []
        for name in ["json", "documents"]:
            value = row.get(name)
            if value is not None:
                row[name] = [json.loads(text) for text in value] if isinstance(value, list) else json.loads(value)
    return rows


def assert_equal(found, expected):
    """Equality of rows, value by value, in which a NaN equals itself and zero has a sign."""
    assert len(found) == len(expected)
    for row, (left, right) in enumerate(zip(found, expected)):
        assert list(left.keys()) == list(right.keys())
        for name, value in right.items():
            same = left[name] == value if not isinstance(value, float) else repr(left[name]) == repr(value)
            assert same, f"row {row}, column {name}: {left[name]!r} instead of {value!r}"
