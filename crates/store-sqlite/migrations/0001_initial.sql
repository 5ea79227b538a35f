-- Component ids, lists and keys are deterministic CBOR as tamarack_store::encoding writes it. Times are seconds since 1970.

CREATE TABLE clock (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    highest INTEGER NOT NULL
) STRICT;
INSERT INTO clock VALUES (1, 0);

CREATE TABLE tenant (
    id      TEXT PRIMARY KEY,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO tenant VALUES ('default', 0);

CREATE TABLE provider (
    tenant   TEXT NOT NULL REFERENCES tenant (id),
    id       TEXT NOT NULL,
    name     TEXT NOT NULL,
    prefixes BLOB NOT NULL,
    signers  BLOB NOT NULL,
    enabled  INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    hash     BLOB PRIMARY KEY CHECK (length(hash) = 32),
    tenant   TEXT NOT NULL REFERENCES tenant (id),
    role     TEXT NOT NULL CHECK (role IN ('operator', 'provider', 'auditor')),
    provider TEXT,
    label    TEXT NOT NULL,
    created  INTEGER NOT NULL,
    revoked  INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE catalogue (
    tenant     TEXT NOT NULL,
    manifest   BLOB NOT NULL,
    sequence   INTEGER NOT NULL,
    provider   TEXT NOT NULL,
    digest     BLOB NOT NULL CHECK (length(digest) = 32),
    components BLOB NOT NULL,
    artifact   BLOB NOT NULL CHECK (length(artifact) = 32),
    size       INTEGER NOT NULL,
    published  INTEGER NOT NULL,
    withdrawn  INTEGER,
    PRIMARY KEY (tenant, manifest, sequence),
    UNIQUE (tenant, digest),
    FOREIGN KEY (tenant, provider) REFERENCES provider (tenant, id)
) STRICT, WITHOUT ROWID;

-- Which entries install a component.
CREATE TABLE catalogue_component (
    tenant    TEXT NOT NULL,
    component BLOB NOT NULL,
    sequence  INTEGER NOT NULL,
    manifest  BLOB NOT NULL,
    PRIMARY KEY (tenant, component, sequence, manifest),
    FOREIGN KEY (tenant, manifest, sequence) REFERENCES catalogue (tenant, manifest, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE policy (
    tenant    TEXT NOT NULL REFERENCES tenant (id),
    component BLOB NOT NULL,
    since     INTEGER NOT NULL,
    PRIMARY KEY (tenant, component)
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    tenant         TEXT NOT NULL REFERENCES tenant (id),
    id             BLOB NOT NULL CHECK (length(id) = 32),
    revision       INTEGER NOT NULL,
    teep_key       BLOB NOT NULL,
    teep_key_id    BLOB NOT NULL CHECK (length(teep_key_id) = 32),
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
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, teep_key_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE pending (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     TEXT NOT NULL REFERENCES tenant (id),
    token_hash BLOB NOT NULL CHECK (length(token_hash) = 32),
    device     BLOB NOT NULL,
    session    BLOB NOT NULL,
    manifests  BLOB NOT NULL,
    removals   BLOB NOT NULL,
    sent       INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    UNIQUE (tenant, token_hash)
) STRICT;
CREATE INDEX pending_device ON pending (tenant, device);
CREATE INDEX pending_expires ON pending (expires);

CREATE TABLE burned (
    challenge  BLOB PRIMARY KEY CHECK (length(challenge) = 16),
    tenant     TEXT NOT NULL REFERENCES tenant (id),
    keep_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX burned_keep_until ON burned (keep_until);

CREATE TABLE session (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant  TEXT NOT NULL REFERENCES tenant (id),
    id      BLOB NOT NULL CHECK (length(id) = 16),
    device  BLOB NOT NULL,
    started INTEGER NOT NULL,
    ended   INTEGER,
    outcome TEXT,
    code    INTEGER,
    reason  TEXT,
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX session_device ON session (tenant, device);

CREATE TABLE audit (
    tenant  TEXT NOT NULL REFERENCES tenant (id),
    number  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL,
    digest  BLOB NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY (tenant, number)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
