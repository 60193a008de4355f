"""The fixtures that all tests share."""

import pytest
from emulator import Emulator
from mill import Mill
from stores import Store

pytest_plugins = ["stored"]


@pytest.fixture(scope="session")
def mill(tmp_path_factory):
    """Runs wafermill, each time in a folder of its own."""
    return Mill(tmp_path_factory)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory):
    """An emulator of BigQuery that all tests share."""
    with Emulator.start(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """A store that speaks S3."""
    with Store.start(tmp_path_factory.mktemp("store")) as store:
        yield store
