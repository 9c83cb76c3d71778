-- Replacement of keys, signs of a copied key, and acknowledgements of the operator.

-- Key that is to replace the key of the sensor, until its first session.
ALTER TABLE sensors ADD COLUMN next_key BLOB CHECK (next_key IS NULL OR length(next_key) = 32);
CREATE UNIQUE INDEX sensors_by_next_key ON sensors (next_key) WHERE next_key IS NOT NULL;
-- First session with the present key; none for that of the enrollment.
ALTER TABLE sensors ADD COLUMN key_since_us INTEGER;
-- The operator wants the sensor to replace its key.
ALTER TABLE sensors ADD COLUMN replacement_requested_us INTEGER;
-- Key of the collector that the sensor has confirmed, or connected to.
ALTER TABLE sensors ADD COLUMN pinned_key BLOB CHECK (pinned_key IS NULL OR length(pinned_key) = 32);
-- Signs that two devices use the key: number, latest, and what it was.
ALTER TABLE sensors ADD COLUMN copy_signs INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sensors ADD COLUMN copy_sign TEXT;
ALTER TABLE sensors ADD COLUMN copy_at_us INTEGER;
ALTER TABLE sensors ADD COLUMN copy_detail TEXT;
-- Line of the latest hello, see lineage.rs.
ALTER TABLE sensors ADD COLUMN current_line INTEGER NOT NULL DEFAULT 0;
-- The operator has taken note of unclean runs: when, who, and how many runs in all.
ALTER TABLE sensors ADD COLUMN acknowledged_at_us INTEGER;
ALTER TABLE sensors ADD COLUMN acknowledged_by TEXT;
ALTER TABLE sensors ADD COLUMN acknowledged_runs INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run_ends ADD COLUMN acknowledged_at_us INTEGER;

-- Sensor that used the token, so that it can repeat the enrollment whose answer it did not get.
ALTER TABLE tokens ADD COLUMN used_by INTEGER REFERENCES sensors (id);

-- Keys that a sensor has replaced. None of them is served again.
CREATE TABLE replaced_keys (
    public_key BLOB PRIMARY KEY CHECK (length(public_key) = 32),
    sensor INTEGER NOT NULL REFERENCES sensors (id),
    replaced_at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX replaced_keys_by_sensor ON replaced_keys (sensor, replaced_at_us);

-- Runs of each sensor in the order of their first hello. A line is a sequence of runs, each begun by the files that the one
-- before left.
CREATE TABLE run_lines (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sensor INTEGER NOT NULL REFERENCES sensors (id),
    boot INTEGER NOT NULL,
    line INTEGER NOT NULL,
    is_latest INTEGER NOT NULL,
    -- Random number of the run, of 64 bits; 0 if it sent none.
    witness INTEGER NOT NULL,
    UNIQUE (sensor, boot)
) STRICT;
INSERT INTO run_lines (sensor, boot, line, is_latest, witness)
SELECT id, current_boot, 0, 1, 0 FROM sensors WHERE current_boot IS NOT NULL;

-- Alerts that came with a number that another alert of the sensor has. They are stored under a made-up run of the sensor,
-- numbered in the order of arrival.
CREATE TABLE conflicting_alerts (
    sensor INTEGER NOT NULL REFERENCES sensors (id),
    boot INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    wire BLOB NOT NULL,
    PRIMARY KEY (sensor, boot, seq, wire)
) STRICT, WITHOUT ROWID;
ALTER TABLE sensors ADD COLUMN conflicts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sensors ADD COLUMN conflicts_boot INTEGER;

-- Keys of the collector besides its first one. The private keys are files.
CREATE TABLE collector_keys (
    public_key BLOB PRIMARY KEY CHECK (length(public_key) = 32),
    -- Announced to sensors; none for the first key of the collector.
    announced_at_us INTEGER,
    -- In force at the latest from then on.
    switch_at_us INTEGER,
    -- Time for which sensors with the key before it are served.
    keep_us INTEGER,
    in_force_at_us INTEGER,
    -- Replaced by another: sensors that have only this one are served until then.
    served_until_us INTEGER
) STRICT, WITHOUT ROWID;
