"""A store that speaks S3, moto's, and a proxy before it that fails as networks and stores do.

moto (5.2.5) checks no signatures unless it is told to, keeps objects in memory, knows `If-Match` on GET and `If-None-Match` on PUT, lists
1,000 keys a page, and refuses parts of less than 5 MiB, as S3 does.
"""

import contextlib
import http.client
import os
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
from botocore.config import Config
from emulator import answers, free_port, stop

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests", "AWS_REGION": "us-east-1"}


class Store:
    """A running server."""

    def __init__(self, address):
        self.address = address
        self.client = boto3.client(
            "s3", endpoint_url=address, region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"], aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"max_attempts": 1}),
        )  # fmt: skip

    @classmethod
    @contextlib.contextmanager
    def start(cls, folder, **environment):
        for _ in range(3):
            port = free_port()
            with open(folder / "moto.log", "wb") as log:
                command = [Path(sys.executable).parent / "moto_server", "-H", "127.0.0.1", "-p", str(port)]
                server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | environment)
            try:
                if answers(server, f"http://127.0.0.1:{port}/moto-api/"):
                    yield cls(f"http://127.0.0.1:{port}")
                    return
            finally:
                stop(server)
        raise RuntimeError(f"the server did not start:\n{(folder / 'moto.log').read_text()}")

    def bucket(self):
        """A new bucket."""
        name = f"bucket{uuid.uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        return Bucket(self, name)

    def environment(self, **more):
        """The environment of a program that uses it."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GOOGLE_"))}
        return own | KEYS | {"AWS_ENDPOINT_URL": self.address} | more


class Bucket:
    """A bucket of its own for a test."""

    def __init__(self, store, name):
        self.store, self.name, self.client = store, name, store.client

    def url(self, key=""):
        return f"s3://{self.name}/{key}"

    def put(self, key, content):
        """Writes an object: the bytes, or those of a file."""
        if isinstance(content, Path):
            content = content.read_bytes()
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def get(self, key):
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def keys(self, prefix=""):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def objects(self, prefix):
        """What each object below a prefix holds, by its name there."""
        return {key.removeprefix(prefix): self.get(key) for key in self.keys(prefix)}

    def uploads(self):
        """Uploads that were begun, and neither completed nor aborted."""
        return self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])

    def remove(self, *keys):
        for key in keys:
            self.client.delete_object(Bucket=self.name, Key=key)


@dataclass
class Request:
    """A request as the proxy sees it."""

    method: str
    path: str
    headers: dict = field(repr=False)
    number: int

    @property
    def range(self):
        return self.headers.get("range", "")


class Proxy:
    """Passes requests on, unless `fault` says otherwise: it takes a `Request`, and gives nothing, a status (or a status and a body), or
    `"cut"` for an answer that ends in its middle."""

    def __init__(self, target):
        self.target = target.removeprefix("http://")
        self.requests, self.fault, self.lock = [], lambda request: None, threading.Lock()

    def count(self, method, containing=""):
        return sum(1 for request in self.requests if request.method == method and containing in request.path)

    @classmethod
    @contextlib.contextmanager
    def start(cls, store):
        proxy = cls(store.address)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = lambda self: proxy.handle(self)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # programs are killed while they are answered
        server.handle_error = lambda *_: None
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield proxy
        finally:
            server.shutdown()
            server.server_close()

    def handle(self, handler):
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self.lock:
            request = Request(handler.command, handler.path, headers, len(self.requests))
            self.requests.append(request)
        fault = self.fault(request)
        if fault is not None and fault != "cut":
            status, content = fault if isinstance(fault, tuple) else (fault, b"")
            return self.answer(handler, status, {}, content)
        connection = http.client.HTTPConnection(self.target, timeout=60)
        connection.request(request.method, request.path, body, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        kept = {name: value for name, value in response.getheaders() if name.lower() not in ("transfer-encoding", "connection", "content-length")}
        length = response.headers.get("content-length") if request.method == "HEAD" else None
        self.answer(handler, response.status, kept, content, length, cut=fault == "cut")
        return None

    @staticmethod
    def answer(handler, status, headers, content, length=None, cut=False):
        with contextlib.suppress(OSError):
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("content-length", length or str(len(content)))
            handler.end_headers()
            handler.wfile.write(content[: len(content) // 2] if cut else content)
            if cut:
                handler.close_connection = True
