-- Users, keys, log-ins, groups of sensors, audit. Times are microseconds since the epoch, UTC; hashes are SHA-256.

-- `groups` is a JSON array of names; null for every sensor.
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE CHECK (length(name) BETWEEN 1 AND 48),
    role TEXT NOT NULL CHECK (role IN ('viewer', 'analyst', 'operator', 'admin')),
    groups TEXT,
    -- PHC string of Argon2id.
    password TEXT NOT NULL,
    totp BLOB,
    -- Secret that is not in force before the user has shown a code of it.
    totp_offered BLOB,
    totp_step INTEGER NOT NULL DEFAULT 0,
    created_at_us INTEGER NOT NULL
) STRICT;

CREATE TABLE log_ins (
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    user INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at_us INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL,
    address TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE CHECK (length(name) BETWEEN 1 AND 48),
    role TEXT NOT NULL CHECK (role IN ('viewer', 'analyst', 'operator', 'admin')),
    groups TEXT,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at_us INTEGER NOT NULL,
    expires_at_us INTEGER,
    last_used_at_us INTEGER
) STRICT;

-- One-time codes that set the password of an administrator.
CREATE TABLE administrator_codes (
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    expires_at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sensor_groups (
    sensor INTEGER NOT NULL REFERENCES sensors (id) ON DELETE CASCADE,
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 48),
    PRIMARY KEY (sensor, name)
) STRICT, WITHOUT ROWID;

-- Raised with each change of the tables above, by whatever process: a running collector keeps them in memory.
CREATE TABLE access_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    -- Key of the cookies by which a browser shows that it has logged in before.
    device_key BLOB NOT NULL CHECK (length(device_key) = 32)
) STRICT;
INSERT INTO access_state VALUES (1, 0, randomblob(32));

CREATE TRIGGER users_inserted AFTER INSERT ON users BEGIN UPDATE access_state SET revision = revision + 1; END;
CREATE TRIGGER users_updated AFTER UPDATE ON users BEGIN UPDATE access_state SET revision = revision + 1; END;
CREATE TRIGGER users_deleted AFTER DELETE ON users BEGIN UPDATE access_state SET revision = revision + 1; END;
CREATE TRIGGER log_ins_inserted AFTER INSERT ON log_ins BEGIN UPDATE access_state SET revision = revision + 1; END;
CREATE TRIGGER log_ins_deleted AFTER DELETE ON log_ins BEGIN UPDATE access_state SET revision = revision + 1; END;
CREATE TRIGGER api_keys_inserted AFTER INSERT ON api_keys BEGIN UPDATE access_state SET revision = revision + 1; END;
CREATE TRIGGER api_keys_deleted AFTER DELETE ON api_keys BEGIN UPDATE access_state SET revision = revision + 1; END;
CREATE TRIGGER administrator_codes_inserted AFTER INSERT ON administrator_codes BEGIN UPDATE access_state SET revision = revision + 1; END;
CREATE TRIGGER administrator_codes_deleted AFTER DELETE ON administrator_codes BEGIN UPDATE access_state SET revision = revision + 1; END;
CREATE TRIGGER sensor_groups_inserted AFTER INSERT ON sensor_groups BEGIN UPDATE access_state SET revision = revision + 1; END;
CREATE TRIGGER sensor_groups_deleted AFTER DELETE ON sensor_groups BEGIN UPDATE access_state SET revision = revision + 1; END;
CREATE TRIGGER sensors_renamed AFTER UPDATE OF name ON sensors BEGIN UPDATE access_state SET revision = revision + 1; END;

-- Each row's hash covers the hash of the row before it.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    who TEXT NOT NULL,
    whence TEXT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL,
    result TEXT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'the audit is append only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'the audit is append only'); END;
