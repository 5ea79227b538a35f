use tamarack_cbor::Encoder;
use tamarack_crypto::{HashAlgorithm, Hasher, Provider as Crypto};
use tamarack_model::ComponentId;

use crate::encoding::{
    components, domain_signers, entries, keys, otrp_device, reference_scopes, texts, withheld,
    write_component, write_entries,
};
use crate::release::{Recorded, ReleasePolicy, TenantReferenceProvider};
use crate::rows::{
    AuditEntry, AuditRecord, CatalogueEntry, Device, Domain, Held, Personalization, Policy, Provider,
    Reference, ReferenceFloor,
};
use crate::{Read, StoreError};

/// Devices are read in pages of this many.
const PAGE: usize = 256;

/// SHA-256 over all that a TAM decides by: providers, domains, catalogue, policy, reference values, devices and
/// what they are given and showed, of all tenants. A refused request leaves it as it was.
pub fn registry_digest(read: &dyn Read, crypto: &Crypto) -> Result<[u8; 32], StoreError> {
    let mut hasher = crypto.sha2.start(HashAlgorithm::Sha256);
    for tenant in read.tenants()? {
        let tenant = tenant.id;
        add(&mut *hasher, |e| {
            e.text("tenant").text(tenant.as_str());
        });
        for row in read.providers(&tenant)? {
            add(&mut *hasher, |e| write_provider(e, &row));
        }
        for row in read.domains(&tenant)? {
            add(&mut *hasher, |e| write_domain(e, &row));
        }
        for row in read.catalogue(&tenant)? {
            add(&mut *hasher, |e| write_entry(e, &row));
        }
        for Policy { component, since, .. } in read.policies(&tenant)? {
            add(&mut *hasher, |e| {
                e.array(3).text("policy").uint(since);
                write_component(e, &component);
            });
        }
        for row in read.references(&tenant)? {
            add(&mut *hasher, |e| write_reference(e, &row));
        }
        for ReferenceFloor { provider, tag, version } in read.reference_floors(&tenant)? {
            add(&mut *hasher, |e| {
                e.array(4).text("reference-floor").text(&provider).bytes(&tag).uint(version);
            });
        }
        for row in read.reference_providers(&tenant)? {
            add(&mut *hasher, |e| write_reference_provider(e, &row));
        }
        for row in read.release_policies(&tenant)? {
            add(&mut *hasher, |e| write_release_policy(e, &row));
        }
        let mut after = None;
        loop {
            let page = read.devices(&tenant, after.as_ref(), PAGE)?;
            for row in &page {
                add(&mut *hasher, |e| write_device(e, row));
                if let Some(recorded) = read.recorded(&tenant, &row.id)? {
                    add(&mut *hasher, |e| write_recorded(e, &recorded));
                }
                for given in read.personalizations(&tenant, &row.id)? {
                    add(&mut *hasher, |e| write_personalization(e, &given));
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.id),
                _ => break,
            }
        }
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(&hasher.finish());
    Ok(digest)
}

/// A link of the audit log's hash chain: SHA-256 over the digest of the record before (32 zero bytes for the first) and
/// the entry.
pub fn audit_digest(previous: &[u8; 32], entry: &AuditEntry, crypto: &Crypto) -> [u8; 32] {
    let AuditEntry { tenant, at, actor, action, subject, detail } = entry;
    let mut e = Encoder::new();
    e.array(6).text(tenant.as_str()).uint(*at).text(actor).text(action).text(subject).text(detail);
    crypto.sha256_parts(&[previous, &e.into_bytes()])
}

/// Whether `records`, which must follow the record with digest `previous`, are an unbroken piece of the chain.
pub fn verify_audit(previous: &[u8; 32], records: &[AuditRecord], crypto: &Crypto) -> bool {
    let mut previous = *previous;
    records.iter().all(|record| {
        let expected = audit_digest(&previous, &record.entry, crypto);
        previous = record.digest;
        record.digest == expected
    }) && records.windows(2).all(|pair| pair[0].number + 1 == pair[1].number)
}

fn add(hasher: &mut dyn Hasher, write: impl FnOnce(&mut Encoder)) {
    let mut e = Encoder::new();
    write(&mut e);
    hasher.update(&e.into_bytes());
}

// The rows are taken apart in full, so that a new field cannot be forgotten here.

fn write_provider(e: &mut Encoder, row: &Provider) {
    let Provider { tenant: _, id, name, prefixes, signers, enabled } = row;
    e.array(6)
        .text("provider")
        .text(id)
        .text(name)
        .raw(&components(prefixes))
        .raw(&keys(signers))
        .bool(*enabled);
}

fn write_domain(e: &mut Encoder, row: &Domain) {
    let Domain { tenant: _, name, provider, signers, quota, created, deleted } = row;
    e.array(7).text("domain").text(name).text(provider).raw(&domain_signers(signers));
    optional_number(e, *quota);
    e.uint(*created);
    optional_number(e, *deleted);
}

fn write_reference(e: &mut Encoder, row: &Reference) {
    let Reference { tenant: _, id, provider, name, signed, added, deactivated } = row;
    e.array(7).text("reference").bytes(id).text(provider).text(name).bytes(signed).uint(*added);
    optional_number(e, *deactivated);
}

fn write_reference_provider(e: &mut Encoder, row: &TenantReferenceProvider) {
    let TenantReferenceProvider { tenant: _, name, maker, keys: public, scope, elements, set } = row;
    e.array(7).text("reference-provider").text(name).bool(*maker).raw(&keys(public));
    e.raw(&reference_scopes(scope));
    match elements {
        Some(elements) => e.raw(&texts(elements)),
        None => e.null(),
    };
    e.uint(*set);
}

fn write_release_policy(e: &mut Encoder, row: &ReleasePolicy) {
    let ReleasePolicy { tenant: _, version, text, set, by } = row;
    e.array(5).text("release-policy").uint(*version);
    optional_text(e, text.as_deref());
    e.uint(*set).text(by);
}

fn write_recorded(e: &mut Encoder, row: &Recorded) {
    let Recorded { tenant: _, device, at, otrp, format, evidence, shown, policy, withheld: kept } = row;
    e.array(9).text("recorded").bytes(&device.0).uint(*at).bool(*otrp);
    optional_text(e, format.as_deref());
    e.bytes(evidence).bytes(shown);
    optional_number(e, *policy);
    e.raw(&withheld(kept));
}

fn optional_text(e: &mut Encoder, text: Option<&str>) {
    match text {
        Some(text) => e.text(text),
        None => e.null(),
    };
}

fn write_personalization(e: &mut Encoder, row: &Personalization) {
    let Personalization { tenant: _, device, manifest, data, set, delivered } = row;
    e.array(6).text("personalization").bytes(&device.0);
    write_component(e, manifest);
    e.bytes(data).uint(*set);
    optional_number(e, *delivered);
}

fn optional_number(e: &mut Encoder, number: Option<u64>) {
    match number {
        Some(number) => e.uint(number),
        None => e.null(),
    };
}

fn write_entry(e: &mut Encoder, row: &CatalogueEntry) {
    let CatalogueEntry {
        tenant: _,
        provider,
        manifest,
        sequence,
        digest,
        components,
        artifact,
        size,
        published,
        withdrawn,
    } = row;
    e.array(10).text("entry").text(provider);
    write_component(e, manifest);
    e.uint(*sequence)
        .bytes(&digest.0)
        .raw(&entries(components))
        .bytes(&artifact.0)
        .uint(*size)
        .uint(*published);
    match withdrawn {
        Some(at) => e.uint(*at),
        None => e.null(),
    };
}

fn write_device(e: &mut Encoder, row: &Device) {
    let Device {
        tenant: _,
        id,
        revision,
        teep,
        otrp,
        ueid,
        grade,
        claims,
        state,
        quarantine,
        first_seen,
        last_seen,
        reported,
        attested,
        held_back,
    } = row;
    e.array(15).text("device").bytes(&id.0).uint(*revision);
    match teep {
        Some(teep) => e.array(2).bytes(&teep.key.to_point()).bytes(&teep.id),
        None => e.null(),
    };
    match otrp {
        Some(otrp) => e.raw(&otrp_device(otrp)),
        None => e.null(),
    };
    e.bytes(ueid).text(grade).raw(&crate::encoding::claims(claims));
    match state {
        Some(mark) => e.array(2).uint(mark.epoch).bytes(&mark.root),
        None => e.null(),
    };
    match quarantine {
        Some(reason) => e.text(reason),
        None => e.null(),
    };
    e.uint(*first_seen).uint(*last_seen);
    for held in [reported, attested] {
        match held {
            Some(Held { entries, at, proof }) => {
                e.array(3).text(proof.as_str()).uint(*at);
                write_entries(e, entries);
            }
            None => {
                e.null();
            }
        }
    }
    e.raw(&crate::encoding::held_back(held_back));
}

impl Provider {
    /// Whether a prefix of this provider is a whole-segment prefix of one of `other`, or the other way round, `other`
    /// being another provider of the same tenant.
    pub fn overlaps(&self, other: &Provider) -> bool {
        let overlap =
            |a: &ComponentId, b: &ComponentId| a.starts_with(b.segments()) || b.starts_with(a.segments());
        self.tenant == other.tenant
            && self.id != other.id
            && self.prefixes.iter().any(|a| other.prefixes.iter().any(|b| overlap(a, b)))
    }

    /// Whether `component` lies within one of its prefixes.
    pub fn owns(&self, component: &ComponentId) -> bool {
        self.prefixes.iter().any(|prefix| component.starts_with(prefix.segments()))
    }
}
