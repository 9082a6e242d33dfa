-- The book of coop 0985: its accounts, and the orders that it received and sent.
-- All amounts are in cents. What is committed is on the disk, whatever happens next.

PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;

CREATE TABLE IF NOT EXISTS accounts (
    cci TEXT PRIMARY KEY, name TEXT, document TEXT, phone TEXT, currency TEXT, balance INTEGER
);
-- Invented people: office 999, documents from 0000.
INSERT OR IGNORE INTO accounts VALUES
    ('98599900000000010126', 'SOCIA CONECTOR EJEMPLO', '00000985', '900098501', 'PEN', 500000),
    ('98599900000000020222', 'SOCIO CONECTOR EJEMPLO', '00000986', '900098502', 'PEN', 500000);

-- An order begins HELD (we received it) or PENDING (we send it), and ends FINAL or REJECTED.
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY,      -- the CT2's instructionId; our own for an order that we send
    role TEXT,                -- creditor: received; debtor: sent
    state TEXT,
    cci TEXT,                 -- our customer's account,
    moves INTEGER,            -- and what FINAL adds to its balance
    message TEXT,             -- JSON of the CT2, or of the CT1
    instruction_id TEXT,      -- the clearing house's name for the order
    reason_code TEXT,
    tries INTEGER DEFAULT 0,  -- how often we asked what became of it,
    due REAL                  -- and when we ask next; NULL: never again
);
CREATE INDEX IF NOT EXISTS orders_due ON orders (due) WHERE due IS NOT NULL;

-- An end is an end: whatever comes later changes nothing.
CREATE TRIGGER IF NOT EXISTS ends_once BEFORE UPDATE OF state ON orders
    WHEN old.state IN ('FINAL', 'REJECTED')
BEGIN SELECT RAISE(IGNORE); END;

-- The only place where a balance moves: with the step to FINAL, in the same transaction.
CREATE TRIGGER IF NOT EXISTS final_moves_money AFTER UPDATE OF state ON orders
    WHEN new.state = 'FINAL'
BEGIN UPDATE accounts SET balance = balance + new.moves WHERE cci = new.cci; END;

-- Nobody spends what is not there, nor what a pending order may take.
CREATE TRIGGER IF NOT EXISTS funds_cover BEFORE INSERT ON orders
    WHEN new.state = 'PENDING'
BEGIN
    SELECT RAISE(ABORT, 'not enough funds')
    WHERE NOT EXISTS (SELECT 1 FROM money WHERE cci = new.cci AND available >= -new.moves);
END;

-- Every change of an order, numbered.
CREATE TABLE IF NOT EXISTS changes (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, state TEXT, at TEXT
);
CREATE TRIGGER IF NOT EXISTS note_entry AFTER INSERT ON orders
BEGIN INSERT INTO changes VALUES (NULL, new.id, new.state, CURRENT_TIMESTAMP); END;
CREATE TRIGGER IF NOT EXISTS note_end AFTER UPDATE OF state ON orders
BEGIN INSERT INTO changes VALUES (NULL, new.id, new.state, CURRENT_TIMESTAMP); END;

-- Each account with what is held of it, and what is left.
CREATE VIEW IF NOT EXISTS money AS
SELECT
    *, balance - held AS available, 'ACTIVE' AS status, '0985' AS participant
FROM (
    SELECT
        *,
        (
            SELECT COALESCE(SUM(-moves), 0) FROM orders
            WHERE orders.cci = accounts.cci AND state = 'PENDING'
        ) AS held
    FROM accounts
);

-- Accounts, named as AV1 and CT1, and as AV3, name them.
CREATE VIEW IF NOT EXISTS payers AS
SELECT cci AS debtorCCI, name AS debtorName, document AS debtorId, '2' AS debtorIdCode
FROM accounts;
CREATE VIEW IF NOT EXISTS payees AS
SELECT cci AS creditorCCI, name AS creditorName, document AS creditorId, '2' AS creditorIdCode
FROM accounts;

-- What PSR1 asks about an order that we hold.
CREATE VIEW IF NOT EXISTS enquiries AS
SELECT
    '0985' AS creditorParticipantCode, '604' AS currency, id AS instructionId,
    json_extract(message, '$.creationDate') AS originalCreationDate,
    json_extract(message, '$.creationTime') AS originalCreationTime
FROM orders;

-- What a payer is told.
CREATE VIEW IF NOT EXISTS outcomes AS
SELECT id, state, NULLIF(instruction_id, '') AS instruction_id, reason_code FROM orders;

-- What the test hook shows.
CREATE VIEW IF NOT EXISTS movements AS
SELECT
    sequence, at, changes.state, role, cci, reason_code, 'PEN' AS currency,
    CASE role WHEN 'creditor' THEN id ELSE NULLIF(instruction_id, '') END AS instruction_id,
    json_extract(message, '$.referenceTransactionId') AS verification_id,
    COALESCE(json_extract(message, '$.amount'), 0) AS amount,
    COALESCE(json_extract(message, '$.feeAmount'), 0) AS fee,
    COALESCE(json_extract(message, '$.amount') + json_extract(message, '$.feeAmount'), 0)
        AS settlement,
    CASE role
        WHEN 'debtor' THEN json_extract(message, '$.creditorParticipantCode')
        ELSE json_extract(message, '$.debtorParticipantCode')
    END AS counterparty
FROM changes JOIN orders USING (id)
ORDER BY sequence;
