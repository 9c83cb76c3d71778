-- States of sensors over time, what operators have taken note of, and restores from a backup.

-- The newest rows of each sensor, see sensor_states.rs.
CREATE TABLE sensor_states (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sensor INTEGER NOT NULL REFERENCES sensors (id),
    at_us INTEGER NOT NULL,
    state TEXT NOT NULL,
    cause TEXT NOT NULL
) STRICT;
CREATE INDEX sensor_states_by_sensor ON sensor_states (sensor, id);

-- Of the lost and missing alerts, those that the operator has taken note of.
ALTER TABLE sensors ADD COLUMN noted_lost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sensors ADD COLUMN noted_missing INTEGER NOT NULL DEFAULT 0;
-- Missing alerts when the store was restored from a backup; null if it never was.
ALTER TABLE sensors ADD COLUMN missing_at_restore INTEGER;

CREATE TABLE restores (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_us INTEGER NOT NULL,
    backup_at_us INTEGER NOT NULL
) STRICT;
