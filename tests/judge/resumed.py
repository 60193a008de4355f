"""What tests of tasks share that are killed and gone on with: a table, and a folder with its file."""

import mill as mills
import pytest
import test_resume


@pytest.fixture(scope="module")
def rows():
    return test_resume.table()


@pytest.fixture
def folder(mill):
    return mill.folder()


def link(path, to):
    path.unlink(missing_ok=True)
    path.symlink_to(to)


@pytest.fixture
def source(folder, rows):
    return mills.write(rows, folder / "table.parquet", row_group_size=7_000)
