"""Tables of ``ledger.db``. The switch reads them too, so their names are a contract."""

SCHEMA_VERSION = 1

IS_OPEN = "state NOT IN ('CONFIRMED', 'REJECTED', 'CANCELLED', 'TOMBSTONE')"
"""Condition of the index over transfers not at their end. SQLite uses the index only for a query
that says it in these words, whatever else the query says about the state."""

SCHEMA = (
    "CREATE TABLE meta(schema_version INTEGER NOT NULL, created_ms INTEGER NOT NULL)",
    """CREATE TABLE transfers(
        transfer_id TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, state TEXT NOT NULL,
        reason TEXT NOT NULL, debtor_agent TEXT NOT NULL, creditor_agent TEXT NOT NULL,
        currency TEXT NOT NULL, minor INTEGER NOT NULL, created_ms INTEGER NOT NULL,
        decided_ms INTEGER, entries BLOB, record BLOB NOT NULL)""",
    "CREATE INDEX transfers_created ON transfers(created_ms)",
    f"CREATE INDEX transfers_open ON transfers(state, created_ms) WHERE {IS_OPEN}",
    """CREATE TABLE outbox(
        owed_id TEXT PRIMARY KEY, participant TEXT NOT NULL, message TEXT NOT NULL,
        subject TEXT NOT NULL, body BLOB NOT NULL, due_ms INTEGER NOT NULL, parked_ms INTEGER)""",
    "CREATE INDEX outbox_due ON outbox(participant, due_ms)",
    """CREATE TABLE verifications(
        instruction_id TEXT PRIMARY KEY, key TEXT NOT NULL, created_ms INTEGER NOT NULL,
        record BLOB NOT NULL)""",
    "CREATE INDEX verifications_key ON verifications(key, created_ms)",
    "CREATE TABLE facts(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE entries(
        entry_id INTEGER PRIMARY KEY, transfer_id TEXT NOT NULL, kind TEXT NOT NULL,
        ledger TEXT NOT NULL, currency TEXT NOT NULL, debit TEXT NOT NULL, credit TEXT NOT NULL,
        minor INTEGER NOT NULL CHECK (minor > 0), "window" TEXT NOT NULL,
        posted_ms INTEGER NOT NULL)""",
    "CREATE INDEX entries_transfer ON entries(transfer_id)",
    """CREATE TABLE positions(
        ledger TEXT, currency TEXT, owner TEXT, balance INTEGER NOT NULL,
        reserved INTEGER NOT NULL CHECK (reserved >= 0), low INTEGER NOT NULL,
        high INTEGER NOT NULL, cap INTEGER NOT NULL, alerted INTEGER NOT NULL,
        PRIMARY KEY (ledger, currency, owner)) WITHOUT ROWID""",
    """CREATE TABLE movements(
        movement_id TEXT PRIMARY KEY, digest TEXT NOT NULL, at_ms INTEGER NOT NULL)
        WITHOUT ROWID""",
    """CREATE TABLE oppositions(
        transfer_id TEXT PRIMARY KEY, opposite_of TEXT NOT NULL, minor INTEGER NOT NULL,
        at_ms INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX oppositions_original ON oppositions(opposite_of)",
)
