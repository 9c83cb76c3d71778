-- Head of the sealed log of each sensor, as it last sent it. Deleted when the sensor is enrolled again.
CREATE TABLE log_heads (
    sensor INTEGER PRIMARY KEY REFERENCES sensors (id),
    head_number INTEGER NOT NULL,
    head_epoch INTEGER NOT NULL,
    head_chain BLOB NOT NULL CHECK (length(head_chain) = 32),
    head_at_us INTEGER NOT NULL,
    -- Heads that contradicted the one before them; the last of those, and when it was contradicted.
    head_faults INTEGER NOT NULL DEFAULT 0,
    fault_number INTEGER,
    fault_epoch INTEGER,
    fault_chain BLOB,
    fault_at_us INTEGER
) STRICT;
