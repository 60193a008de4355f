"""Writes tables and pipeline files, runs wafermill on them and reads what it made."""

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

KEY_SPLIT = {
    "plugin": "split",
    "key": ["id"],
    "params": {"parts": {"train": 0.8, "val": 0.1, "test": 0.1}, "seed": 7},
}


class Mill:
    """Runs the binary that the environment names."""

    def __init__(self, folders):
        self.binary = os.environ["WAFERMILL"]
        self.plugins = os.environ["WAFERMILL_PLUGINS"]
        self.folders = folders

    def folder(self):
        """A new, empty folder."""
        return self.folders.mktemp("mill")

    def run(self, source, steps, **options):
        """Runs a pipeline and returns what it wrote; fails where the program does."""
        ran = self.start("run", source, steps, **options)
        assert ran.status == 0, ran.stderr
        return Dataset(ran.out)

    def fit(self, source, steps, **options):
        """Fits a pipeline's steps and returns the model."""
        ran = self.start("fit", source, steps, **options)
        assert ran.status == 0, ran.stderr
        return Model(ran.out)

    def refused(self, source, steps, **options):
        """What the program says of a pipeline that it must not run; it may leave nothing behind."""
        ran = self.start("run", source, steps, **options)
        assert ran.status == 1, f"exit status {ran.status}\n{ran.stderr}"
        assert not ran.out.exists()
        return ran.stderr

    def start(self, command, source, steps, *, split=None, output=None, arguments=()):
        """Writes a pipeline file for a table (or for the path of one, or what `[source]` is to say) and runs a command on it."""
        pipeline, out = self.prepare(source, steps, split, output)
        return self.call(command, pipeline, "--out", out, *arguments, out=out)

    def measured(self, command, source, steps, *, split=None, output=None, arguments=()):
        """As `start`; also gives the most memory that the program had, in bytes."""
        pipeline, out = self.prepare(source, steps, split, output)
        call = [self.binary, command, pipeline, "--out", out, *arguments, "--plugins", self.plugins]
        with open(out.parent / "stdout", "w+b") as stdout, open(out.parent / "stderr", "w+b") as stderr:
            process = subprocess.Popen([str(argument) for argument in call], stdout=stdout, stderr=stderr)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        read = {name: (out.parent / name).read_bytes() for name in ("stdout", "stderr")}
        return Ran(process.returncode, read["stdout"], read["stderr"].decode(), out), usage.ru_maxrss << 10

    def prepare(self, source, steps, split, output):
        """Writes a pipeline file, and gives its path and where its dataset is to be."""
        folder = self.folder()
        if isinstance(source, pa.Table):
            source = write(source, folder / "table.parquet")
        pipeline = folder / "pipeline.toml"
        pipeline.write_text(pipeline_file(source, steps, split, output), encoding="utf-8")
        return pipeline, folder / "out"

    def apply(self, model, source, *arguments):
        """Runs a model over another table."""
        folder = self.folder()
        if isinstance(source, pa.Table):
            source = write(source, folder / "table.parquet")
        ran = self.call("apply", model.path, source, "--out", folder / "out", *arguments, out=folder / "out")
        assert ran.status == 0, ran.stderr
        return Dataset(ran.out)

    def add(self, model, source, *arguments):
        """Adds the rows of a table to a model, and returns the one that comes of it; fails where the program does."""
        ran = self.start_add(model, source, *arguments)
        assert ran.status == 0, ran.stderr
        return Model(ran.out)

    def start_add(self, model, source, *arguments):
        """Runs the command that adds the rows of a table to a model."""
        folder = self.folder()
        if isinstance(source, pa.Table):
            source = write(source, folder / "table.parquet")
        out = folder / "added"
        return self.call("fit", "--add", model.path, source, "--out", out, *arguments, out=out)

    def call(self, *arguments, out=None):
        """Runs the program with some arguments."""
        command = [self.binary, *map(str, arguments)]
        if arguments[0] in ("run", "fit", "apply"):
            command += ["--plugins", self.plugins]
        done = subprocess.run(command, capture_output=True, check=False)
        return Ran(done.returncode, done.stdout, done.stderr.decode(), out)


@dataclass
class Ran:
    """How a run of the program ended."""

    status: int
    stdout: bytes
    stderr: str
    out: Path | None = field(default=None)


class Model:
    """A fitted model's folder."""

    def __init__(self, path):
        self.path = Path(path)

    def table(self, name, step=1):
        """One of a step's tables; steps are counted from 1."""
        [folder] = self.path.glob(f"steps/{step:02}-*")
        return read_arrow(folder / "model" / f"{name}.arrow")

    def rows(self, name, step=1):
        """The rows of a table that has one for each column, by the names of the columns."""
        return {row["column"]: row for row in self.table(name, step).to_pylist()}

    def digests(self):
        """A digest of each file."""
        return digests(self.path)


class Dataset:
    """What a run wrote."""

    def __init__(self, path):
        self.path = Path(path)
        self.model = Model(self.path / "model")

    def files(self, part):
        """The files of a part, in order."""
        return sorted((self.path / part).iterdir())

    def part(self, name):
        """The rows of one part."""
        read = {".parquet": lambda path: pq.ParquetFile(path).read(), ".arrow": read_arrow}
        return pa.concat_tables(read[path.suffix](path) for path in self.files(name))

    @property
    def train(self):
        return self.part("train")

    @property
    def val(self):
        return self.part("val")

    @property
    def test(self):
        return self.part("test")

    def digests(self):
        """A digest of each file but the report, which tells of this run and no other."""
        return digests(self.path)


def digests(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.name != "report.json"
    }


def read_arrow(path):
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def write(table, path, **options):
    """Writes a table in the format that the path's ending names."""
    match path.suffix:
        case ".parquet":
            pq.write_table(table, path, **options)
        case ".csv":
            pa.csv.write_csv(table, path)
        case ".arrow":
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table, max_chunksize=options.get("max_chunksize"))
    return path


def pipeline_file(source, steps, split, output):
    """A pipeline file, as text."""
    sections = [("[source]", source if isinstance(source, dict) else {"path": str(source)})]
    if split is not None:
        sections.append(("[split]", split))
    sections.extend(("[[steps]]", step) for step in steps)
    if output is not None:
        sections.append(("[output]", output))
    lines = []
    for header, section in sections:
        lines += [header, *(f"{key} = {toml(value)}" for key, value in section.items()), ""]
    return "\n".join(lines)


def toml(value):
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def step(plugin, columns, **params):
    """A step of a pipeline."""
    return {"plugin": plugin, "columns": columns, "params": params}
