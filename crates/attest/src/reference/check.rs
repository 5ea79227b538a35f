//! What a CoRIM may hold before it counts.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_corim::{
    Comid, Environment, Id, MeasuredElement, Measurement, Profile, Relation, Svn, Tag, Triple,
};
use tamarack_model::codes;

use super::{PROFILE, REPLACED, ReferenceEntry, ReferenceProvider, References, refuse};
use crate::Refusal;

/// Whether every word of it is understood and within the provider's scope.
pub(super) fn content(entry: &ReferenceEntry, provider: &ReferenceProvider) -> Result<(), Refusal> {
    let unsupported = |what: String| refuse(codes::REFERENCE_UNSUPPORTED, what);
    match &entry.corim.profile {
        None => {}
        Some(Profile::Uri(uri)) if uri == PROFILE => {}
        Some(profile) => return Err(unsupported(format!("the profile {profile} is not known"))),
    }
    for tag in &entry.corim.tags {
        let Tag::Comid(tag) = tag else {
            return Err(unsupported("a tag is no CoMID".into()));
        };
        if let Some((label, _)) = tag.other_triples.first() {
            return Err(unsupported(format!("triples of kind {label} in tag {}", tag.tag_id)));
        }
        if tag.tag_version >= REPLACED {
            return Err(unsupported(format!("the version of tag {} is beyond 2^63 - 2", tag.tag_id)));
        }
        if tag.linked_tags.iter().any(|link| link.tag_id == tag.tag_id) {
            return Err(unsupported(format!("tag {} is linked to itself", tag.tag_id)));
        }
        tag.reference_values.iter().try_for_each(|triple| reference(triple, provider))?;
        tag.endorsed_values.iter().try_for_each(|triple| scope(triple, provider))?;
        for record in &tag.attest_keys {
            environment(&record.environment, provider)?;
            if record.element.is_some() || !record.authorized_by.is_empty() {
                return Err(unsupported("attest keys with conditions".into()));
            }
            if record.keys.iter().any(|key| key.public_key().is_none()) {
                return Err(unsupported("an attest key that is no P-256 or Ed25519 public key".into()));
            }
        }
    }
    Ok(())
}

/// The versions below which tags lose their force through this one.
pub(super) fn floors(tag: &Comid) -> Vec<(Id, u64)> {
    let replaced = tag.linked_tags.iter().filter(|link| link.relation == Relation::Replaces);
    let mut floors: Vec<(Id, u64)> = replaced.map(|link| (link.tag_id.clone(), REPLACED)).collect();
    floors.push((tag.tag_id.clone(), tag.tag_version));
    floors
}

fn reference(triple: &Triple, provider: &ReferenceProvider) -> Result<(), Refusal> {
    scope(triple, provider)?;
    for measurement in &triple.measurements {
        let values = &measurement.values;
        let what = match (values.digests.is_empty(), values.svn) {
            _ if !measurement.authorized_by.is_empty() => "an authority",
            _ if !values.other.is_empty() || !values.flags.is_empty() => "values that Evidence does not show",
            (true, Some(Svn::AtLeast(_))) | (false, None | Some(Svn::Exact(_))) => continue,
            (true, None | Some(Svn::Exact(_))) => "neither digests nor min-svn",
            (false, Some(Svn::AtLeast(_))) => "digests with min-svn",
        };
        let reason = format!("reference values of {} ask for {what}", name(measurement));
        return Err(refuse(codes::REFERENCE_UNSUPPORTED, reason));
    }
    Ok(())
}

fn scope(triple: &Triple, provider: &ReferenceProvider) -> Result<(), Refusal> {
    environment(&triple.environment, provider)?;
    let Some(allowed) = &provider.elements else { return Ok(()) };
    let inside = |measurement: &&Measurement| match &measurement.element {
        Some(MeasuredElement::Text(text)) => allowed.iter().any(|prefix| below(prefix, text)),
        Some(MeasuredElement::Uint(_) | MeasuredElement::Uuid(_) | MeasuredElement::Oid(_)) | None => false,
    };
    match triple.measurements.iter().find(|measurement| !inside(measurement)) {
        None => Ok(()),
        Some(measurement) => {
            let reason = format!("{} may not speak of {}", provider.name, name(measurement));
            Err(refuse(codes::REFERENCE_SCOPE, reason))
        }
    }
}

/// Whole segments only, so that `urn:acme` does not reach `urn:acme-other`.
fn below(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
}

fn environment(environment: &Environment, provider: &ReferenceProvider) -> Result<(), Refusal> {
    if provider.scope.iter().any(|scope| scope.includes(environment)) {
        return Ok(());
    }
    let reason = format!("{} may not speak of {}", provider.name, super::compare::describe(environment));
    Err(refuse(codes::REFERENCE_SCOPE, reason))
}

pub(super) fn name(measurement: &Measurement) -> String {
    let element = match &measurement.element {
        Some(MeasuredElement::Text(text)) => text.clone(),
        Some(element) => format!("{element:?}"),
        None => "the only element".into(),
    };
    match &measurement.values.name {
        Some(name) => format!("{element} ({name})"),
        None => element,
    }
}

impl References {
    /// Neither older than what was seen, nor the same version with other content.
    pub(super) fn check_order(&self, new: &ReferenceEntry) -> Result<(), Refusal> {
        for tag in new.comids() {
            let floor = self.floor(new, &tag.tag_id);
            if tag.tag_version < floor {
                let Comid { tag_id, tag_version, .. } = tag;
                let reason = match floor {
                    REPLACED => format!("tag {tag_id} was replaced by another"),
                    floor => format!("tag {tag_id} has version {tag_version}, the floor is {floor}"),
                };
                return Err(refuse(codes::REFERENCE_ROLLBACK, reason));
            }
            let known = self.entries.iter().filter(|entry| entry.provider == new.provider);
            let same = known.flat_map(ReferenceEntry::comids).chain(new.comids());
            let mut same =
                same.filter(|known| known.tag_id == tag.tag_id && known.tag_version == tag.tag_version);
            if same.any(|known| known != tag) {
                let reason = format!("version {} of tag {} has other content", tag.tag_version, tag.tag_id);
                return Err(refuse(codes::REFERENCE_CONFLICT, reason));
            }
        }
        Ok(())
    }

    /// Nobody gives the same content another security version.
    pub(super) fn check_agreement(&self, new: &ReferenceEntry) -> Result<(), Refusal> {
        // What the new one takes the place of does not count against it.
        let superseded: Vec<(Id, u64)> = new.comids().flat_map(floors).collect();
        let stays = |entry: &ReferenceEntry, tag: &Comid| {
            entry.provider != new.provider
                || !superseded.iter().any(|(id, version)| *id == tag.tag_id && tag.tag_version < *version)
        };
        let known =
            self.tags().filter(|(entry, tag)| stays(entry, tag)).map(|(entry, tag)| (&*entry.provider, tag));
        let all: Vec<(&str, &Comid)> = known.chain(new.comids().map(|tag| (&*new.provider, tag))).collect();
        for (environment, measurement) in new.comids().flat_map(values) {
            for (provider, tag) in &all {
                let other = values(tag)
                    .find(|(other, value)| environment.overlaps(other) && contradicts(measurement, value));
                if other.is_some() {
                    let reason = format!(
                        "{provider} gives the same content of {} another svn in tag {}",
                        name(measurement),
                        tag.tag_id
                    );
                    return Err(refuse(codes::REFERENCE_CONFLICT, reason));
                }
            }
        }
        Ok(())
    }
}

fn values(tag: &Comid) -> impl Iterator<Item = (&Environment, &Measurement)> {
    let triples = tag.reference_values.iter();
    triples.flat_map(|triple| triple.measurements.iter().map(move |value| (&triple.environment, value)))
}

fn contradicts(a: &Measurement, b: &Measurement) -> bool {
    let svn = |m: &Measurement| match m.values.svn {
        Some(Svn::Exact(svn)) => Some(svn),
        Some(Svn::AtLeast(_)) | None => None,
    };
    a.element == b.element
        && super::compare::same_content(&a.values.digests, &b.values.digests)
        && svn(a).zip(svn(b)).is_some_and(|(a, b)| a != b)
}
