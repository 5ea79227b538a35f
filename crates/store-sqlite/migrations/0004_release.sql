-- Release policies, what they are decided by, and who else may give reference values.

CREATE TABLE release_policy (
    tenant  TEXT NOT NULL REFERENCES tenant (id),
    version INTEGER NOT NULL,
    text    TEXT,
    set_at  INTEGER NOT NULL,
    by      TEXT NOT NULL,
    PRIMARY KEY (tenant, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE recorded (
    tenant   TEXT NOT NULL REFERENCES tenant (id),
    device   BLOB NOT NULL CHECK (length(device) = 32),
    at       INTEGER NOT NULL,
    otrp     INTEGER NOT NULL,
    format   TEXT,
    evidence BLOB NOT NULL,
    shown    BLOB NOT NULL,
    policy   INTEGER,
    withheld BLOB NOT NULL,
    PRIMARY KEY (tenant, device)
) STRICT;

CREATE TABLE reference_provider (
    tenant   TEXT NOT NULL REFERENCES tenant (id),
    name     TEXT NOT NULL,
    maker    INTEGER NOT NULL,
    keys     BLOB NOT NULL,
    scope    BLOB NOT NULL,
    elements BLOB,
    set_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
