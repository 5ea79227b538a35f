-- Reference values, and the versions below which they do not count.

CREATE TABLE reference (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant      TEXT NOT NULL REFERENCES tenant (id),
    id          BLOB NOT NULL CHECK (length(id) = 32),
    provider    TEXT NOT NULL,
    name        TEXT NOT NULL,
    signed      BLOB NOT NULL,
    added       INTEGER NOT NULL,
    deactivated INTEGER,
    UNIQUE (tenant, id)
) STRICT;

CREATE TABLE reference_floor (
    tenant   TEXT NOT NULL REFERENCES tenant (id),
    provider TEXT NOT NULL,
    tag      BLOB NOT NULL,
    version  INTEGER NOT NULL,
    PRIMARY KEY (tenant, provider, tag)
) STRICT, WITHOUT ROWID;
