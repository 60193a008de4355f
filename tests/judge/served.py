"""Serves tables as BigQuery would, from the test server, for as long as a test needs them."""

import contextlib
import os
import socket
import socketserver
import subprocess
import threading
from pathlib import Path

import mill
import pyarrow as pa
import pyarrow.parquet as pq

BILLING = "billing"


@contextlib.contextmanager
def serve(folder, tables, *options):
    """Starts the server with tables by name (`data.set.NAME`); gives its address, such as `http://127.0.0.1:1234`."""
    command = [os.environ["WAFERMILL_TEST_BIGQUERY"], "--billing-project", BILLING]
    for name, table in tables.items():
        command += ["--table", f"data.set.{name}={stored(table, Path(folder) / name)}"]
    command += map(str, options)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()


class Switch(socketserver.ThreadingTCPServer):
    """An address that stays while the server behind it changes."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), None)
        self.behind = None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def finish_request(self, client, _):
        with socket.create_connection(("127.0.0.1", int(self.behind.rsplit(":", 1)[1]))) as server:
            back = threading.Thread(target=forward, args=(server, client), daemon=True)
            back.start()
            forward(client, server)
            back.join()


def forward(source, target):
    """Passes on what comes until there is no more."""
    with contextlib.suppress(OSError):
        while read := source.recv(1 << 16):
            target.sendall(read)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def stored(table, path):
    """Writes a table: as Parquet, or as Arrow where Parquet has no such type."""
    if not isinstance(table, pa.Table):
        return table
    if any(pa.types.is_interval(field.type) for field in table.schema):
        path = path.with_suffix(".arrow")
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    else:
        path = path.with_suffix(".parquet")
        pq.write_table(table, path, row_group_size=1_000)
    return path


def named(address, name, *options):
    """The arguments of `apply` and `inspect` that mean a table that is served."""
    access = ["--billing-project", BILLING, "--credentials", "anonymous", "--storage-endpoint", address, "--rest-endpoint", address]
    return [f"data.set.{name}", *access, *options]


def source(address, name, **options):
    """What a pipeline's `[source]` says of a table that is served."""
    bigquery = {"billing_project": BILLING, "credentials": "anonymous", "storage_endpoint": address, "rest_endpoint": address}
    return {"table": f"data.set.{name}", "bigquery": bigquery | options}


def toml(source):
    """What is said of a source, as the lines of a pipeline file's section."""
    return "\n".join(f"{key} = {mill.toml(value)}" for key, value in source.items())
