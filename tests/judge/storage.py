"""The BigQuery of the tests, run for a test, and Google's client for the Storage Read API talking to it."""

import contextlib
import os
import subprocess

import grpc
import numpy as np
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

PARENT = "projects/billing"


@contextlib.contextmanager
def serve(*options):
    """Serves with the options given, and gives a client."""
    command = [os.environ["WAFERMILL_TEST_BIGQUERY"], *map(str, options)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        address = server.stdout.readline().strip().removeprefix("http://")
        # A connection that broke is to be made anew at once.
        choices = [("grpc.initial_reconnect_backoff_ms", 10), ("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(address, choices) as channel:
            yield BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
        server.stdin.close()
        assert server.wait(10) == 0


def resource(table):
    """The name of a table of data.set, as requests have it."""
    return f"projects/data/datasets/set/tables/{table}"


def session(client, streams=1, table=resource("people"), parent=PARENT, codec=None, snapshot=None, **options):
    if codec is not None:
        options["arrow_serialization_options"] = types.ArrowSerializationOptions(buffer_compression=codec)
    wanted = types.ReadSession(table=table, data_format=types.DataFormat.ARROW, read_options=options)
    if snapshot is not None:
        wanted.table_modifiers = types.ReadSession.TableModifiers(snapshot_time=snapshot)
    return client.create_read_session(parent=parent, read_session=wanted, max_stream_count=streams, retry=None, timeout=10)


def read(client, created):
    """The rows of all streams, one after the other."""
    streams = [client.read_rows(stream.name).rows(created).to_arrow() for stream in created.streams]
    return pa.concat_tables(streams)


def assert_equal(found, expected):
    """Equality in which a NaN equals itself."""
    assert found.schema.equals(expected.schema) and found.num_rows == expected.num_rows
    for name in expected.column_names:
        left, right = found[name].combine_chunks(), expected[name].combine_chunks()
        assert left.is_null().equals(right.is_null()), name
        if pa.types.is_floating(left.type):
            left, right = (column.fill_null(0).to_numpy() for column in (left, right))
            assert np.array_equal(left, right, equal_nan=True), name
        else:
            assert left.equals(right), name
