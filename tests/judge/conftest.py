"""The fixtures that all tests share."""

import pytest
from mill import Mill


@pytest.fixture(scope="session")
def mill(tmp_path_factory):
    """Runs wafermill, each time in a folder of its own."""
    return Mill(tmp_path_factory)
