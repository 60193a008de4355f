"""Small disks, for tests of what happens when one is full, read-only or mounted where it is in the way."""

import contextlib
import os
import subprocess

import pytest


@contextlib.contextmanager
def mounted(path, size="64m", *options):
    """A disk in memory at a path, where this user may mount one; the test is skipped otherwise."""
    path.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", path], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def read_only(path):
    subprocess.run(["mount", "-o", "remount,ro", path], check=True)


@contextlib.contextmanager
def full_but_for(folder, free):
    """Leaves so many bytes free on the disk of a folder."""
    ballast = folder / "ballast"
    found = os.statvfs(folder)
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - free)
    try:
        yield
    finally:
        ballast.unlink()
