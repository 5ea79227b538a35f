-- Security Domains, devices that speak OTrP, and what single devices are given.

CREATE TABLE domain (
    tenant   TEXT NOT NULL REFERENCES tenant (id),
    name     TEXT NOT NULL,
    provider TEXT NOT NULL,
    signers  BLOB NOT NULL,
    quota    INTEGER,
    created  INTEGER NOT NULL,
    deleted  INTEGER,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE personalization (
    tenant    TEXT NOT NULL REFERENCES tenant (id),
    device    BLOB NOT NULL CHECK (length(device) = 32),
    manifest  BLOB NOT NULL,
    data      BLOB NOT NULL,
    set_at    INTEGER NOT NULL,
    delivered INTEGER,
    PRIMARY KEY (tenant, device, manifest)
) STRICT, WITHOUT ROWID;

ALTER TABLE pending ADD COLUMN command BLOB;

-- A device may have no TEEP key; SQLite cannot take a NOT NULL away.
CREATE TABLE device_of_both (
    tenant         TEXT NOT NULL REFERENCES tenant (id),
    id             BLOB NOT NULL CHECK (length(id) = 32),
    revision       INTEGER NOT NULL,
    teep_key       BLOB,
    teep_key_id    BLOB CHECK (length(teep_key_id) = 32),
    ueid           BLOB NOT NULL,
    grade          TEXT NOT NULL,
    claims         BLOB NOT NULL,
    state_epoch    INTEGER,
    state_root     BLOB,
    quarantine     TEXT,
    first_seen     INTEGER NOT NULL,
    last_seen      INTEGER NOT NULL,
    reported       BLOB,
    reported_at    INTEGER,
    reported_proof TEXT,
    attested       BLOB,
    attested_at    INTEGER,
    attested_proof TEXT,
    otrp           BLOB,
    otrp_did       BLOB CHECK (length(otrp_did) = 32),
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, teep_key_id),
    UNIQUE (tenant, otrp_did)
) STRICT, WITHOUT ROWID;
INSERT INTO device_of_both SELECT *, NULL, NULL FROM device;
DROP TABLE device;
ALTER TABLE device_of_both RENAME TO device;
