//! Each [`StoreOp`] as SQL, within a transaction that the writer holds.

use rusqlite::{Connection, OptionalExtension, Params, params};
use tamarack_crypto::Provider as Crypto;
use tamarack_store::encoding::{
    claims, component, components, domain_signers, entries, held_back, keys, otrp_device, pending_command,
    reference_scopes, texts, withheld,
};
use tamarack_store::{
    AuditEntry, CatalogueEntry, Conflict, Device, Domain, Held, MAX_PENDING, PendingUpdate, Provider,
    Reference, ReferenceFloor, StoreOp, TenantId, audit_digest,
};

use crate::read;

/// Why a batch is rolled back.
pub(crate) enum WriteError {
    /// It breaks a rule.
    Conflict(Conflict),
    /// The database failed.
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for WriteError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Database(e)
    }
}

impl From<Conflict> for WriteError {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}

type Result<T = ()> = std::result::Result<T, WriteError>;

/// Carries out one change.
pub(crate) fn apply(db: &Connection, op: StoreOp, crypto: &Crypto) -> Result {
    op.check_range()?;
    match op {
        StoreOp::AdvanceTime(time) => {
            run(db, "UPDATE clock SET highest = ?1 WHERE highest < ?1", params![time as i64])?;
        }
        StoreOp::InsertTenant(row) => {
            let sql = "INSERT INTO tenant VALUES (?1, ?2)";
            unique(db, sql, params![row.id.as_str(), row.created as i64], "tenant")?;
        }
        StoreOp::InsertProvider(row) => put_provider(db, &row, true)?,
        StoreOp::UpdateProvider(row) => put_provider(db, &row, false)?,
        StoreOp::InsertDomain(row) => {
            // In place of a deleted one, whose row is only kept so that devices are told.
            let sql = "INSERT INTO domain VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                ON CONFLICT (tenant, name) DO UPDATE SET
                    provider = ?3, signers = ?4, quota = ?5, created = ?6, deleted = ?7
                WHERE deleted IS NOT NULL";
            if put_domain(db, sql, &row)? == 0 {
                return Err(Conflict::Exists("domain").into());
            }
        }
        StoreOp::UpdateDomain(row) => {
            let sql = "UPDATE domain SET provider = ?3, signers = ?4, quota = ?5, created = ?6, deleted = ?7
                WHERE tenant = ?1 AND name = ?2 AND deleted IS NULL";
            if put_domain(db, sql, &row)? == 0 {
                return Err(Conflict::Missing("domain").into());
            }
        }
        StoreOp::DeleteDomain { tenant, name, at } => {
            let sql = "UPDATE domain SET deleted = ?3 WHERE tenant = ?1 AND name = ?2 AND deleted IS NULL";
            existing(db, sql, params![tenant.as_str(), name, at as i64], "domain")?;
        }
        StoreOp::SetPersonalization(row) => {
            let values = params![
                row.tenant.as_str(),
                row.device.0,
                component(&row.manifest),
                row.data,
                row.set as i64,
                row.delivered.map(|at| at as i64),
            ];
            let sql = "INSERT INTO personalization VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                ON CONFLICT (tenant, device, manifest) DO UPDATE SET data = ?4, set_at = ?5, delivered = ?6";
            run(db, sql, values)?;
        }
        StoreOp::DeliverPersonalization { tenant, device, manifest, set, at } => {
            let sql = "UPDATE personalization SET delivered = ?5
                WHERE tenant = ?1 AND device = ?2 AND manifest = ?3 AND set_at = ?4";
            let values = params![tenant.as_str(), device.0, component(&manifest), set as i64, at as i64];
            run(db, sql, values)?;
        }
        StoreOp::InsertToken(row) => {
            let values = params![
                row.hash,
                row.tenant.as_str(),
                row.role.as_str(),
                row.provider,
                row.label,
                row.created as i64,
                row.revoked.map(|at| at as i64),
            ];
            unique(db, "INSERT INTO token VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", values, "token")?;
        }
        StoreOp::RevokeToken { tenant, hash, at } => {
            let sql = "UPDATE token SET revoked = ?3 WHERE tenant = ?1 AND hash = ?2 AND revoked IS NULL";
            existing(db, sql, params![tenant.as_str(), hash, at as i64], "token")?;
        }
        StoreOp::Publish(row) => publish(db, &row)?,
        StoreOp::Withdraw { tenant, manifest, sequence, at } => {
            let sql = "UPDATE catalogue SET withdrawn = ?4
                WHERE tenant = ?1 AND manifest = ?2 AND sequence = ?3 AND withdrawn IS NULL";
            // A number that does not fit names no row.
            let sequence = i64::try_from(sequence).map_err(|_| Conflict::Missing("catalogue entry"))?;
            let values = params![tenant.as_str(), component(&manifest), sequence, at as i64];
            existing(db, sql, values, "catalogue entry")?;
        }
        StoreOp::SetPolicy(row) => {
            let sql = "INSERT INTO policy VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            run(db, sql, params![row.tenant.as_str(), component(&row.component), row.since as i64])?;
        }
        StoreOp::ClearPolicy { tenant, component: id } => {
            let sql = "DELETE FROM policy WHERE tenant = ?1 AND component = ?2";
            existing(db, sql, params![tenant.as_str(), component(&id)], "policy")?;
        }
        StoreOp::InsertReference { row, floors, seen } => insert_reference(db, &row, &floors, seen)?,
        StoreOp::DeactivateReference { tenant, id, at } => {
            let sql = "UPDATE reference SET deactivated = ?3
                WHERE tenant = ?1 AND id = ?2 AND deactivated IS NULL";
            existing(db, sql, params![tenant.as_str(), id, at as i64], "reference values")?;
        }
        StoreOp::PutReferenceProvider(row) => {
            let values = params![
                row.tenant.as_str(),
                row.name,
                row.maker,
                keys(&row.keys),
                reference_scopes(&row.scope),
                row.elements.as_ref().map(|elements| texts(elements)),
                row.set as i64,
            ];
            run(db, "INSERT OR REPLACE INTO reference_provider VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", values)?;
        }
        StoreOp::RemoveReferenceProvider { tenant, name } => {
            let sql = "DELETE FROM reference_provider WHERE tenant = ?1 AND name = ?2";
            existing(db, sql, params![tenant.as_str(), name], "provider of reference values")?;
        }
        StoreOp::SetReleasePolicy(row) => {
            let sql = "INSERT INTO release_policy SELECT ?1, ?2, ?3, ?4, ?5
                WHERE (SELECT count(*) FROM release_policy WHERE tenant = ?1) + 1 = ?2";
            let (version, set) = (row.version as i64, row.set as i64);
            if run(db, sql, params![row.tenant.as_str(), version, row.text, set, row.by])? == 0 {
                return Err(Conflict::Exists("version of the release policy").into());
            }
        }
        StoreOp::Record(row) => {
            let values = params![
                row.tenant.as_str(),
                row.device.0,
                row.at as i64,
                row.otrp,
                row.format,
                row.evidence,
                row.shown,
                row.policy.map(|version| version as i64),
                withheld(&row.withheld),
            ];
            run(db, "INSERT OR REPLACE INTO recorded VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", values)?;
        }
        StoreOp::PutDevice(row) => put_device(db, &row)?,
        StoreOp::ReleaseDevice { tenant, device } => {
            let sql = "UPDATE device SET revision = revision + 1, quarantine = NULL, state_epoch = NULL,
                state_root = NULL WHERE tenant = ?1 AND id = ?2";
            existing(db, sql, params![tenant.as_str(), device.0], "device")?;
        }
        StoreOp::InsertPending(row) => insert_pending(db, &row)?,
        StoreOp::TakePending { tenant, token_hash } => {
            let sql = "DELETE FROM pending WHERE tenant = ?1 AND token_hash = ?2
                AND expires >= (SELECT highest FROM clock)";
            existing(db, sql, params![tenant.as_str(), token_hash], "pending update")?;
        }
        StoreOp::BurnChallenge { tenant, challenge, expires, keep_until } => {
            if expires < read::time(db)? {
                return Err(Conflict::Expired.into());
            }
            let sql = "INSERT INTO burned VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            if run(db, sql, params![challenge, tenant.as_str(), keep_until as i64])? == 0 {
                return Err(Conflict::Burned.into());
            }
        }
        StoreOp::InsertSession(row) => {
            let values = params![
                row.tenant.as_str(),
                row.id,
                row.device.0,
                row.started as i64,
                row.ended.map(|at| at as i64),
                row.outcome.map(|outcome| outcome.as_str()),
                row.code.map(|code| code.0),
                row.reason,
            ];
            let sql = "INSERT INTO session (tenant, id, device, started, ended, outcome, code, reason)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            unique(db, sql, values, "session")?;
        }
        StoreOp::EndSession { tenant, id, at, outcome, code, reason } => {
            let sql = "UPDATE session SET ended = ?3, outcome = ?4, code = ?5, reason = ?6
                WHERE tenant = ?1 AND id = ?2 AND ended IS NULL";
            let code = code.map(|code| code.0);
            let values = params![tenant.as_str(), id, at as i64, outcome.as_str(), code, reason];
            existing(db, sql, values, "session")?;
        }
        StoreOp::Audit(entry) => append_audit(db, &entry, crypto)?,
        StoreOp::Prune(now) => {
            run(db, "DELETE FROM burned WHERE keep_until < ?1", params![now as i64])?;
            run(db, "DELETE FROM pending WHERE expires < ?1", params![now as i64])?;
        }
    }
    Ok(())
}

/// Runs a statement; gives the number of rows it changed.
fn run(db: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<usize> {
    db.prepare_cached(sql)?.execute(values)
}

/// Inserts a row whose key must be new.
fn unique(db: &Connection, sql: &str, values: impl Params, what: &'static str) -> Result {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
    match run(db, sql, values) {
        Ok(_) => Ok(()),
        Err(rusqlite::Error::SqliteFailure(e, _))
            if matches!(e.extended_code, SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_UNIQUE) =>
        {
            Err(Conflict::Exists(what).into())
        }
        Err(e) => Err(e.into()),
    }
}

/// Changes a row that must be there.
fn existing(db: &Connection, sql: &str, values: impl Params, what: &'static str) -> Result {
    match run(db, sql, values)? {
        0 => Err(Conflict::Missing(what).into()),
        _ => Ok(()),
    }
}

fn put_provider(db: &Connection, row: &Provider, new: bool) -> Result {
    if read::providers(db, &row.tenant)?.iter().any(|other| row.overlaps(other)) {
        return Err(Conflict::PrefixTaken.into());
    }
    let values = params![
        row.tenant.as_str(),
        row.id,
        row.name,
        components(&row.prefixes),
        keys(&row.signers),
        row.enabled,
    ];
    if new {
        return unique(db, "INSERT INTO provider VALUES (?1, ?2, ?3, ?4, ?5, ?6)", values, "provider");
    }
    let sql = "UPDATE provider SET name = ?3, prefixes = ?4, signers = ?5, enabled = ?6
        WHERE tenant = ?1 AND id = ?2";
    existing(db, sql, values, "provider")
}

fn put_domain(db: &Connection, sql: &str, row: &Domain) -> rusqlite::Result<usize> {
    let values = params![
        row.tenant.as_str(),
        row.name,
        row.provider,
        domain_signers(&row.signers),
        row.quota.map(|quota| quota as i64),
        row.created as i64,
        row.deleted.map(|at| at as i64),
    ];
    run(db, sql, values)
}

fn publish(db: &Connection, row: &CatalogueEntry) -> Result {
    if read::provider(db, &row.tenant, &row.provider)?.is_none() {
        return Err(Conflict::Missing("provider").into());
    }
    let highest = read::highest_sequence(db, &row.tenant, &row.manifest)?;
    if let Some(highest) = highest.filter(|highest| row.sequence <= *highest) {
        return Err(Conflict::Sequence(highest).into());
    }
    let sql = "SELECT 1 FROM catalogue WHERE tenant = ?1 AND manifest = ?2 AND provider <> ?3";
    let others = params![row.tenant.as_str(), component(&row.manifest), row.provider];
    if db.prepare_cached(sql)?.exists(others)? {
        return Err(Conflict::Exists("catalogue entry").into());
    }
    let (tenant, manifest, sequence) = (row.tenant.as_str(), component(&row.manifest), row.sequence as i64);
    let values = params![
        tenant,
        manifest,
        sequence,
        row.provider,
        row.digest.0,
        entries(&row.components),
        row.artifact.0,
        row.size as i64,
        row.published as i64,
        row.withdrawn.map(|at| at as i64),
    ];
    let sql = "INSERT INTO catalogue VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    unique(db, sql, values, "catalogue entry")?;
    for installed in &row.components {
        let sql = "INSERT INTO catalogue_component VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        run(db, sql, params![tenant, component(&installed.id), sequence, manifest])?;
    }
    Ok(())
}

fn insert_reference(db: &Connection, row: &Reference, floors: &[ReferenceFloor], seen: usize) -> Result {
    let tenant = row.tenant.as_str();
    let count: i64 = db
        .prepare_cached("SELECT count(*) FROM reference WHERE tenant = ?1")?
        .query_row(params![tenant], |row| row.get(0))?;
    let values = params![
        tenant,
        row.id,
        row.provider,
        row.name,
        row.signed,
        row.added as i64,
        row.deactivated.map(|at| at as i64),
    ];
    let sql = "INSERT INTO reference (tenant, id, provider, name, signed, added, deactivated)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    unique(db, sql, values, "reference values")?;
    if usize::try_from(count).ok() != Some(seen) {
        return Err(Conflict::Changed.into());
    }
    for ReferenceFloor { provider, tag, version } in floors {
        let sql = "INSERT INTO reference_floor VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (tenant, provider, tag) DO UPDATE SET version = max(version, ?4)";
        run(db, sql, params![tenant, provider, tag, *version as i64])?;
    }
    Ok(())
}

fn put_device(db: &Connection, row: &Device) -> Result {
    let sql = "SELECT revision FROM device WHERE tenant = ?1 AND id = ?2";
    let revision: Option<i64> = db
        .prepare_cached(sql)?
        .query_row(params![row.tenant.as_str(), row.id.0], |row| row.get(0))
        .optional()?;
    if revision.unwrap_or(0) as u64 != row.revision {
        return Err(Conflict::Changed.into());
    }
    let held = |held: &Option<Held>| {
        held.as_ref().map(|held| (entries(&held.entries), held.at as i64, held.proof.as_str()))
    };
    let (reported, attested) = (held(&row.reported), held(&row.attested));
    let values = params![
        row.tenant.as_str(),
        row.id.0,
        row.revision as i64 + 1,
        row.teep.map(|teep| teep.key.to_point()),
        row.teep.map(|teep| teep.id),
        row.ueid,
        row.grade,
        claims(&row.claims),
        row.state.map(|mark| mark.epoch as i64),
        row.state.map(|mark| mark.root),
        row.quarantine,
        row.first_seen as i64,
        row.last_seen as i64,
        reported.as_ref().map(|held| &held.0),
        reported.as_ref().map(|held| held.1),
        reported.as_ref().map(|held| held.2),
        attested.as_ref().map(|held| &held.0),
        attested.as_ref().map(|held| held.1),
        attested.as_ref().map(|held| held.2),
        row.otrp.as_ref().map(otrp_device),
        row.otrp.as_ref().map(|otrp| otrp.did),
        (!row.held_back.is_empty()).then(|| held_back(&row.held_back)),
    ];
    // Only the primary key may be replaced: the same TEEP key or TEE certificate on another device is a conflict.
    let sql = "INSERT INTO device VALUES
            (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
            ?21, ?22)
        ON CONFLICT (tenant, id) DO UPDATE SET
            revision = ?3, teep_key = ?4, teep_key_id = ?5, ueid = ?6, grade = ?7, claims = ?8, state_epoch = ?9,
            state_root = ?10, quarantine = ?11, first_seen = ?12, last_seen = ?13, reported = ?14,
            reported_at = ?15, reported_proof = ?16, attested = ?17, attested_at = ?18, attested_proof = ?19, otrp = ?20,
            otrp_did = ?21, held_back = ?22";
    unique(db, sql, values, "device key")
}

fn insert_pending(db: &Connection, row: &PendingUpdate) -> Result {
    let tenant = row.tenant.as_str();
    let values = params![
        tenant,
        row.token_hash,
        row.device.0,
        row.session,
        entries(&row.manifests),
        components(&row.removals),
        row.sent as i64,
        row.expires as i64,
        row.command.as_ref().map(pending_command),
    ];
    let sql = "INSERT INTO pending
            (tenant, token_hash, device, session, manifests, removals, sent, expires, command)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    unique(db, sql, values, "pending update")?;
    let sql = "DELETE FROM pending WHERE tenant = ?1 AND device = ?2 AND number NOT IN
        (SELECT number FROM pending WHERE tenant = ?1 AND device = ?2 ORDER BY number DESC LIMIT ?3)";
    run(db, sql, params![tenant, row.device.0, MAX_PENDING as i64])?;
    Ok(())
}

fn append_audit(db: &Connection, entry: &AuditEntry, crypto: &Crypto) -> Result {
    let (number, previous) = last_audit(db, &entry.tenant)?;
    let digest = audit_digest(&previous, entry, crypto);
    let AuditEntry { tenant, at, actor, action, subject, detail } = entry;
    let values = params![tenant.as_str(), number + 1, *at as i64, actor, action, subject, detail, digest];
    run(db, "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", values)?;
    Ok(())
}

fn last_audit(db: &Connection, tenant: &TenantId) -> Result<(i64, [u8; 32])> {
    let sql = "SELECT number, digest FROM audit WHERE tenant = ?1 ORDER BY number DESC LIMIT 1";
    let last = db
        .prepare_cached(sql)?
        .query_row(params![tenant.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(last.unwrap_or((0, [0; 32])))
}
