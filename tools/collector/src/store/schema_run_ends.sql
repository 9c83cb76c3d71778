-- Runs of sensors of protocol version 2 or later: begun by a hello, ended by the run end that the sensor sends.
CREATE TABLE run_ends (
    sensor INTEGER NOT NULL REFERENCES sensors (id),
    boot INTEGER NOT NULL,
    -- First hello; none if only the end arrived.
    hello_at_us INTEGER,
    -- Number after the last one known to the sensor, and cause as on the wire; none until the end arrives.
    next_seq INTEGER,
    cause INTEGER,
    ended_at_us INTEGER,
    PRIMARY KEY (sensor, boot)
) STRICT, WITHOUT ROWID;

-- Run of the latest hello; none if that was of version 1.
ALTER TABLE sensors ADD COLUMN current_boot INTEGER;
-- Runs before the current one without an end, or with one that does not exclude lost alerts; the latest of them.
ALTER TABLE sensors ADD COLUMN unclean_runs INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sensors ADD COLUMN unclean_boot INTEGER;
