-- Times are microseconds since the epoch, UTC. Keys are 32 bytes (X25519).

CREATE TABLE sensors (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    public_key BLOB NOT NULL UNIQUE CHECK (length(public_key) = 32),
    name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
    enrolled_at_us INTEGER NOT NULL,
    revoked_at_us INTEGER,
    last_seen_at_us INTEGER,
    -- Counted in the transaction that stores, so they never disagree with the rows.
    stored INTEGER NOT NULL DEFAULT 0,
    duplicates INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    -- The last alert, in the sensor's order of sending, up to which everything is kept.
    acked_boot INTEGER,
    acked_seq INTEGER,
    -- What it said of itself when it last connected.
    software TEXT NOT NULL DEFAULT '',
    host TEXT NOT NULL DEFAULT '',
    interfaces TEXT NOT NULL DEFAULT '',
    -- The latest telemetry, as JSON.
    telemetry TEXT,
    telemetry_at_us INTEGER
) STRICT;

-- A used or expired token is kept for a week, so that a sensor that tries it again gets the reason.
CREATE TABLE tokens (
    token_id BLOB PRIMARY KEY CHECK (length(token_id) = 8),
    secret BLOB NOT NULL CHECK (length(secret) = 16),
    -- Empty: the sensor may choose its name.
    name TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL,
    used_at_us INTEGER
) STRICT, WITHOUT ROWID;

-- `wire` is the alert in its wire format, with its times relative to the epoch.
CREATE TABLE alerts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sensor INTEGER NOT NULL REFERENCES sensors (id),
    boot INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    time_us INTEGER NOT NULL,
    received_at_us INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    wire BLOB NOT NULL,
    UNIQUE (sensor, boot, seq)
) STRICT;

CREATE INDEX alerts_by_time ON alerts (time_us);
CREATE INDEX alerts_by_sensor ON alerts (sensor);
CREATE INDEX alerts_by_kind ON alerts (kind);
CREATE INDEX alerts_by_severity ON alerts (severity);

-- Alerts of a kind unknown to this version, kept for a version that knows it.
CREATE TABLE unreadable (
    sensor INTEGER NOT NULL REFERENCES sensors (id),
    boot INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    base_us INTEGER NOT NULL,
    received_at_us INTEGER NOT NULL,
    wire BLOB NOT NULL,
    UNIQUE (sensor, boot, seq)
) STRICT;

-- Ranges that a sensor reported as discarded: first_seq, last_seq and some between them.
CREATE TABLE gaps (
    sensor INTEGER NOT NULL REFERENCES sensors (id),
    boot INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    lost_info INTEGER NOT NULL,
    lost_low INTEGER NOT NULL,
    lost_medium INTEGER NOT NULL,
    lost_high INTEGER NOT NULL,
    lost_critical INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    received_at_us INTEGER NOT NULL,
    UNIQUE (sensor, boot, first_seq, last_seq)
) STRICT;

-- Counters of each boot of each sensor: highest = stored + lost + missing.
CREATE TABLE runs (
    sensor INTEGER NOT NULL REFERENCES sensors (id),
    boot INTEGER NOT NULL,
    highest INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    PRIMARY KEY (sensor, boot)
) STRICT, WITHOUT ROWID;

-- Totals, so that statistics never count rows.
CREATE TABLE totals (
    kind INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    PRIMARY KEY (kind, severity)
) STRICT, WITHOUT ROWID;

CREATE TABLE minutes (
    minute INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    PRIMARY KEY (minute, severity)
) STRICT, WITHOUT ROWID;
