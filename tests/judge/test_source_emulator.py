"""wafermill over an emulator of BigQuery that others wrote: a table, a query and its result, a view, and REST."""

import pytest
from mill import Dataset
from test_emulator import ROWS, table  # noqa: F401

DATASET = "data.milled"
QUERY = f"SELECT id, i, s, nested FROM `{DATASET}.people` WHERE MOD(id, 3) = 0"


@pytest.fixture(scope="module")
def source(emulator, table):  # noqa: F811
    """What `[source]` says of something that the emulator has."""
    client = emulator.client()
    client.create_dataset(DATASET)
    emulator.load(f"{DATASET}.people", table)
    client.query(f"CREATE VIEW `{DATASET}.view` AS {QUERY}").result()

    def source(what, **options):
        bigquery = {"billing_project": "billing", "credentials": "anonymous"}
        endpoints = {"storage_endpoint": emulator.grpc, "rest_endpoint": emulator.rest}
        return what | {"bigquery": bigquery | endpoints | options}

    return source


def copied(mill, source):
    ran = mill.start("run", source, [])
    assert ran.status == 0, ran.stderr
    return sorted(Dataset(ran.out).part("all").to_pylist(), key=lambda row: row["id"])


@pytest.mark.parametrize("way", [{}, {"storage_api": False}], ids=["storage", "rest"])
def test_a_table_is_read(mill, source, table, way):  # noqa: F811
    found = copied(mill, source({"table": f"{DATASET}.people"}, **way))
    assert len(found) == ROWS
    assert found == table.to_pylist()


@pytest.mark.parametrize("what", [{"query": QUERY}, {"table": f"{DATASET}.view"}], ids=["query", "view"])
@pytest.mark.parametrize("way", [{}, {"storage_api": False}], ids=["storage", "rest"])
def test_a_query_is_run_and_its_result_is_read(mill, source, table, what, way):  # noqa: F811
    assert copied(mill, source(what, **way)) == table.select(["id", "i", "s", "nested"]).to_pylist()[::3]


def test_a_filter_and_columns_are_understood(mill, source, table):  # noqa: F811
    for way in ({}, {"storage_api": False}):
        found = copied(mill, source({"table": f"{DATASET}.people"}, columns=["id", "s"], filter="MOD(id, 5) = 0", **way))
        assert found == table.select(["id", "s"]).to_pylist()[::5]


def test_a_query_that_is_wrong_is_refused_before_anything_is_written(mill, source):
    ran = mill.start("run", source({"query": f"SELECT nothing FROM `{DATASET}.people`"}), [])
    assert ran.status == 1 and not ran.out.exists()
    assert "the query is refused" in ran.stderr
