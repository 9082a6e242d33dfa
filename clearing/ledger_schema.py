"""Tables of ``ledger.db``. The switch reads them too, so their names are a contract.

Rows that come by the million are small and only ever appended: a line is four integers, keyed by
the number of its transfer, and says by its lane what the entries of a window and a pair of
accounts have in common. ``entries`` shows them as one would write them on paper.
"""

from clearing.core.recount import COUNTED_KINDS

SCHEMA_VERSION = 2

IS_OPEN = "state NOT IN ('CONFIRMED', 'REJECTED', 'CANCELLED', 'TOMBSTONE', 'ACSC', 'RJCT')"
"""Condition of the index over transfers not at their end. SQLite uses the index only for a query
that says it in these words, whatever else the query says about the state."""

POSTED_STATES = ("POSTED", "CONFIRMED", "ACSC", "APPROVED", "DISPUTED_POSTED")
"""States of a transfer whose entries are posted."""

LINES_PER_NUMBER = 16
"""Line ids that belong to one number: the entries of a posting, then what is only counted."""
COUNTED_FROM = 8
"""First of them that is for what is only counted."""

_ENTRIES_OF = f"""
    SELECT l.line_id AS entry_id, s.{{name}} AS transfer_id, a.kind AS kind, a.ledger AS ledger,
        a.currency AS currency, a.debit AS debit, a.credit AS credit, l.minor AS minor,
        a."window" AS "window", l.posted_ms AS posted_ms
    FROM {{table}} AS s
    CROSS JOIN lines AS l ON l.line_id BETWEEN s.number * {LINES_PER_NUMBER}
        AND s.number * {LINES_PER_NUMBER} + {COUNTED_FROM - 1}
    CROSS JOIN lanes AS a ON a.lane = l.lane
    WHERE a.kind NOT IN {COUNTED_KINDS}"""  # noqa: S608 - constants

SCHEMA = (
    "CREATE TABLE meta(schema_version INTEGER NOT NULL, created_ms INTEGER NOT NULL)",
    """CREATE TABLE transfers(
        number INTEGER PRIMARY KEY, transfer_id TEXT NOT NULL UNIQUE, key TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL, reason TEXT NOT NULL, rail TEXT NOT NULL,
        debtor_agent TEXT NOT NULL, creditor_agent TEXT NOT NULL,
        currency TEXT NOT NULL, minor INTEGER NOT NULL, created_ms INTEGER NOT NULL,
        decided_ms INTEGER, legs BLOB, digest INTEGER NOT NULL, record BLOB NOT NULL)""",
    # State and digest are in it so that the audit need not read the rows.
    "CREATE INDEX transfers_created ON transfers(created_ms, state, digest)",
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
    """CREATE TABLE lanes(
        lane INTEGER PRIMARY KEY, "window" TEXT NOT NULL, kind TEXT NOT NULL,
        ledger TEXT NOT NULL, currency TEXT NOT NULL, debit TEXT NOT NULL, credit TEXT NOT NULL,
        counted INTEGER NOT NULL,
        UNIQUE ("window", kind, ledger, currency, debit, credit, counted))""",
    """CREATE TABLE lines(
        line_id INTEGER PRIMARY KEY, lane INTEGER NOT NULL,
        minor INTEGER NOT NULL CHECK (minor > 0), posted_ms INTEGER NOT NULL)""",
    "CREATE TABLE occasions(number INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    "CREATE INDEX occasions_name ON occasions(name)",
    "CREATE VIEW entries AS"
    + _ENTRIES_OF.format(name="transfer_id", table="transfers")
    + " UNION ALL "
    + _ENTRIES_OF.format(name="name", table="occasions"),
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
    """CREATE TABLE windows(
        "window" TEXT PRIMARY KEY, cycle TEXT NOT NULL, currency TEXT NOT NULL,
        settlement_date TEXT NOT NULL, number INTEGER NOT NULL, opens_ms INTEGER NOT NULL,
        closes_ms INTEGER NOT NULL, state TEXT NOT NULL, closed_ms INTEGER NOT NULL,
        record BLOB NOT NULL, after_number INTEGER NOT NULL, last_number INTEGER)""",
    """CREATE TABLE batches(
        "window" TEXT PRIMARY KEY, body BLOB NOT NULL, digest TEXT NOT NULL,
        next_window TEXT NOT NULL, openings BLOB NOT NULL, made_ms INTEGER NOT NULL)""",
    """CREATE TRIGGER batches_stay BEFORE UPDATE ON batches
        BEGIN SELECT raise(ABORT, 'a batch never changes'); END""",
    """CREATE TRIGGER batches_are_kept BEFORE DELETE ON batches
        BEGIN SELECT raise(ABORT, 'a batch is never removed'); END""",
    """CREATE TABLE tallies(
        "window" TEXT, ledger TEXT, currency TEXT, owner TEXT, opening_minor INTEGER NOT NULL,
        sent_accepted INTEGER NOT NULL, sent_accepted_minor INTEGER NOT NULL,
        sent_rejected INTEGER NOT NULL, sent_rejected_minor INTEGER NOT NULL,
        received_accepted INTEGER NOT NULL, received_accepted_minor INTEGER NOT NULL,
        received_rejected INTEGER NOT NULL, received_rejected_minor INTEGER NOT NULL,
        funded INTEGER NOT NULL, funded_minor INTEGER NOT NULL,
        drawn INTEGER NOT NULL, drawn_minor INTEGER NOT NULL,
        PRIMARY KEY ("window", ledger, currency, owner)) WITHOUT ROWID""",
    """CREATE TABLE instructions(
        sequence INTEGER PRIMARY KEY, instruction_id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
        subject TEXT NOT NULL, ledger TEXT NOT NULL, currency TEXT NOT NULL, debit TEXT NOT NULL,
        credit TEXT NOT NULL, minor INTEGER NOT NULL, linked BLOB NOT NULL, state TEXT NOT NULL,
        reason TEXT NOT NULL, queued_ms INTEGER NOT NULL, settled_ms INTEGER NOT NULL)""",
    "CREATE INDEX instructions_subject ON instructions(subject)",
    "CREATE INDEX instructions_queued ON instructions(state) WHERE state = 'QUEUED'",
)


def mixed(line_id: int, lane: int, minor: int) -> int:
    """Return what one line adds to the digest of its transfer; ``MIXED`` says it in SQL."""
    return (line_id * 10007 + lane * 101 + minor) & 0x7FFFFFFF


MIXED = "((line_id * 10007 + lane * 101 + minor) & 0x7FFFFFFF)"
"""A line's part of a digest. Digests only tell that something differs: they are no signature."""
