-- Limits of each sensor. Sums are made in the program, where they saturate: `sum` of SQL fails on an overflow, for every sensor.

-- Sum over its runs of the numbers neither stored nor lost.
ALTER TABLE sensors ADD COLUMN missing INTEGER NOT NULL DEFAULT 0;
-- Bytes that its rows take in the file, estimated when they are stored.
ALTER TABLE sensors ADD COLUMN stored_bytes INTEGER NOT NULL DEFAULT 0;
-- Times up to which its numbers and its runs are paid for, see rate.rs.
ALTER TABLE sensors ADD COLUMN numbers_paid_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sensors ADD COLUMN runs_paid_us INTEGER NOT NULL DEFAULT 0;
-- How often it met a limit; name and time of the last one.
ALTER TABLE sensors ADD COLUMN limit_hits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sensors ADD COLUMN last_limit TEXT;
ALTER TABLE sensors ADD COLUMN last_limit_at_us INTEGER;

-- `total` and `min` in floating point: exact below 2^53, and no stored number makes them fail.
UPDATE sensors SET
    missing = CAST(min((SELECT total(max(highest - stored - lost, 0)) FROM runs WHERE sensor = sensors.id), 4e18) AS INTEGER),
    stored_bytes = CAST(min(stored * 160.0, 4e18) AS INTEGER);
