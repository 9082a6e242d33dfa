"""Files of the group commit: what they are made of."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runtime.group_commit import open_durable


@pytest.mark.parametrize("page_bytes", [None, 4096])
def test_a_new_file_has_larger_pages_and_an_old_one_keeps_its_own(
    tmp_path: Path, page_bytes: int | None
) -> None:
    path = str(tmp_path / "ledger.db")
    if page_bytes is not None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA page_size={page_bytes}")
            connection.execute("PRAGMA user_version=1")

    with closing(open_durable(path)) as connection:
        connection.execute("CREATE TABLE one(column)")
        assert connection.execute("PRAGMA page_size").fetchone() == (page_bytes or 8192,)
        checkpoint_pages = connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0]
    assert checkpoint_pages * (page_bytes or 8192) == 16 * 1024 * 1024
