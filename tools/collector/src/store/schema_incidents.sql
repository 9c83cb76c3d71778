-- Incidents: what the messages of table alerts are about. Built by a consumer behind the acknowledgement, so this step makes empty
-- tables: the alerts that are stored already are taken in batches afterwards, from the position on.

-- Row number of the last alert that each consumer has taken, in the transaction that has its results.
CREATE TABLE consumers (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    -- Alerts that could not be decoded.
    skipped INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO consumers (name, position) VALUES ('incidents', 0);

CREATE TABLE incidents (
    -- Rises in the order of arrival of the first message.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sensor INTEGER NOT NULL REFERENCES sensors (id),
    boot INTEGER NOT NULL,
    number INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    test INTEGER NOT NULL,
    -- Highest of its messages.
    severity INTEGER NOT NULL,
    -- 0 open, 1 closed by its last message, 2 its run has ended.
    phase INTEGER NOT NULL,
    -- 0 new, 1 seen, 2 resolved, 3 false alarm; who set it and when.
    state INTEGER NOT NULL DEFAULT 0,
    state_by TEXT,
    state_at_us INTEGER,
    -- Rises with each change by a user.
    revision INTEGER NOT NULL DEFAULT 0,
    notes INTEGER NOT NULL DEFAULT 0,
    -- Packet times of the first evidence and of the latest message; arrival of the first and of the latest message.
    first_us INTEGER NOT NULL,
    last_us INTEGER NOT NULL,
    opened_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    suppressed INTEGER NOT NULL,
    src_port INTEGER,
    dst_port INTEGER,
    -- Number and bytes of the message with the highest number.
    last_seq INTEGER NOT NULL,
    wire BLOB NOT NULL,
    UNIQUE (sensor, boot, number)
) STRICT;
CREATE INDEX incidents_by_sensor ON incidents (sensor);
CREATE INDEX incidents_by_kind ON incidents (kind);
CREATE INDEX incidents_by_severity ON incidents (severity);
-- Those that a user has dealt with: few.
CREATE INDEX incidents_by_state ON incidents (state) WHERE state > 0;
-- Those that the end of a run closes, and those that it has closed.
CREATE INDEX incidents_open ON incidents (sensor, boot) WHERE phase = 0;
CREATE INDEX incidents_ended ON incidents (sensor, boot) WHERE phase = 2;

-- Every address that a message of an incident names: role 1 source, 2 destination; 16 bytes, IPv4 mapped.
CREATE TABLE incident_addresses (
    role INTEGER NOT NULL,
    address BLOB NOT NULL CHECK (length(address) = 16),
    incident INTEGER NOT NULL,
    PRIMARY KEY (incident, role, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_addresses_by_address ON incident_addresses (role, address, incident);

CREATE TABLE incident_messages (
    incident INTEGER NOT NULL,
    alert INTEGER NOT NULL,
    PRIMARY KEY (incident, alert)
) STRICT, WITHOUT ROWID;

-- Changes of state and notes, the latter with text. The order is that of the row numbers.
CREATE TABLE incident_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    incident INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    by TEXT NOT NULL,
    state INTEGER,
    note TEXT
) STRICT;
CREATE INDEX incident_changes_by_incident ON incident_changes (incident);

-- Answers to requests that carry a key of their own, kept for a day: a repeated one changes nothing.
CREATE TABLE requests (
    key TEXT PRIMARY KEY,
    at_us INTEGER NOT NULL,
    changed TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_time ON requests (at_us);

-- What the rows of 4,096 neighbours have in common, so that a search by time, kind or severity passes over most of the table: bounds of
-- packet time, and a bit for each kind and severity.
CREATE TABLE incident_blocks (
    block INTEGER PRIMARY KEY,
    first_us INTEGER NOT NULL,
    last_us INTEGER NOT NULL
) STRICT;
CREATE TABLE alert_blocks (
    block INTEGER PRIMARY KEY,
    first_us INTEGER NOT NULL,
    last_us INTEGER NOT NULL,
    kinds INTEGER NOT NULL,
    severities INTEGER NOT NULL
) STRICT;

-- The blocks replace these. Each cost every alert a write to a page of its own before it was acknowledged.
DROP INDEX alerts_by_time;
DROP INDEX alerts_by_kind;
DROP INDEX alerts_by_severity;

-- Alerts and incidents that were deleted to keep the limits of age and size: number, and arrival of the latest of them.
CREATE TABLE removed (
    reason TEXT PRIMARY KEY,
    alerts INTEGER NOT NULL DEFAULT 0,
    incidents INTEGER NOT NULL DEFAULT 0,
    latest_us INTEGER NOT NULL DEFAULT 0,
    at_us INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO removed (reason) VALUES ('age'), ('size'), ('disk');
