//! `apply(owner, precondition, intents) -> outcome`: what both protocols ask of the device, as one journaled transaction.
//!
//! [`Transaction::begin`] authenticates and plans everything before anything happens; [`Transaction::run`] carries it out
//! into a journal and staged payloads, stopping whenever a payload must be brought; whoever drives it adds the stored
//! answer and commits the journal once. Until then the device is as it was, and so it stays if the transaction is
//! discarded.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cose::Verified;
use tamarack_crypto::{Provider, Secret};
use tamarack_model::{Code, ComponentId, HeldBack, Intent, Sha256Digest, UnixTime, codes};
use tamarack_suit::{
    AuthenticEnvelope, EffectError, EffectErrorKind, FetchRequest, Machine, Procedure, Reason, Step,
    SuitDigest,
};
use tamarack_tee::Platform;

use crate::api::BUNDLE_SCHEME;
use crate::authority::{self, Authorised, ManifestRefusal, Use};
use crate::counters::{self, Counter, Precedence};
use crate::journal::Journal;
use crate::staging::{Staging, StagingEffects};
use crate::trust::{SignerAnchor, TamAnchor, TrustStore};
use crate::{AgentConfig, Error, domains, measure, notes, owner, reports, slots, ta};

mod domain;
mod remove;
mod withhold;

/// What a transaction works on.
pub(crate) struct Device<'a> {
    pub platform: &'a mut dyn Platform,
    pub provider: &'a Provider,
    pub config: &'a AgentConfig,
    pub now: UnixTime,
}

/// Why a transaction does not come about. The device is unchanged.
#[derive(Clone, Debug)]
pub(crate) enum Refused {
    /// An intent that only a bound Update may have (rules R3 and R4).
    NotBound,
    /// A manifest that may not be processed or whose processing failed; the signed report about it, if it could be named.
    Manifest { code: Code, detail: String, report: Option<Vec<u8>> },
    /// A domain, a provider's key or a TA is not as the intent needs it.
    Intent { code: Code, detail: String },
    /// The device failed; the same may work later.
    Device(Error),
}

impl From<Error> for Refused {
    fn from(e: Error) -> Self {
        Self::Device(e)
    }
}

/// Where [`Transaction::run`] stopped.
pub(crate) enum Stop {
    /// This must be brought through [`Transaction::chunk`].
    Fetch(FetchRequest),
    /// Everything is planned and staged: commit.
    Ready,
}

/// What a transaction did to a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It was installed, with this sequence number, or supersedes an older one.
    Installed {
        /// Manifest component id.
        manifest: ComponentId,
        /// Its sequence number.
        sequence: u64,
    },
    /// It was removed, with its components and its TA's data.
    Removed {
        /// Manifest component id.
        manifest: ComponentId,
    },
    /// It was there already.
    Unchanged {
        /// Manifest component id.
        manifest: ComponentId,
    },
    /// Its TA was given personalization data.
    Personalized {
        /// Manifest component id.
        manifest: ComponentId,
    },
    /// A Security Domain was made.
    DomainCreated {
        /// Its name.
        name: String,
    },
    /// A Security Domain has another name, provider or other signers.
    DomainChanged {
        /// Its name now.
        name: String,
    },
    /// A Security Domain was removed.
    DomainDropped {
        /// Its name.
        name: String,
    },
    /// The key of a service provider was replaced.
    KeyRotated {
        /// The service provider.
        provider: String,
    },
}

impl Effect {
    /// Whether it leaves `id` other than it was.
    pub(crate) fn changes(&self, id: &ComponentId) -> bool {
        match self {
            Self::Installed { manifest, .. }
            | Self::Removed { manifest }
            | Self::Personalized { manifest } => manifest == id,
            Self::Unchanged { .. }
            | Self::DomainCreated { .. }
            | Self::DomainChanged { .. }
            | Self::DomainDropped { .. }
            | Self::KeyRotated { .. } => false,
        }
    }

    /// Whether it leaves anything other than it was.
    pub(crate) fn is_change(&self) -> bool {
        !matches!(self, Self::Unchanged { .. })
    }
}

/// One transaction of one Owner.
pub(crate) struct Transaction {
    tam: TamAnchor,
    /// Nonce of the reports: the token of the Update.
    nonce: Option<Vec<u8>>,
    pub journal: Journal,
    staging: Staging,
    installs: VecDeque<Planned>,
    personalizations: Vec<Personalization>,
    active: Option<Active>,
    pub reports: Vec<Vec<u8>>,
    pub effects: Vec<Effect>,
    /// Manifests that it concerns.
    pub concerned: Vec<ComponentId>,
    /// The rules that it was planned by.
    policy: owner::Policy,
    /// What they withheld; everything else goes on.
    withheld: Vec<HeldBack>,
    notes: Vec<(ComponentId, owner::Note)>,
    /// The component whose content the Broker says it has.
    pub bundled: Option<ComponentId>,
}

/// What a TA is to find as its personalization, once everything else of the transaction is done.
struct Personalization {
    of: PersonalizationOf,
    data: Secret<Vec<u8>>,
}

/// Who says so, and of which TA.
enum PersonalizationOf {
    /// The TAM, of the TA with this manifest.
    Manifest(ComponentId),
    /// The signed manifest of this id and provider, by the component that it writes.
    Component { component: ComponentId, manifest: ComponentId, provider: String, reference: Reference },
}

/// How a report names a manifest.
type Reference = Option<Box<(String, SuitDigest)>>;

struct Planned {
    envelope: Verified<AuthenticEnvelope>,
    anchor: SignerAnchor,
    id: ComponentId,
    digest: Sha256Digest,
    sequence: u64,
}

struct Active {
    machine: Machine,
    anchor: SignerAnchor,
    id: ComponentId,
    digest: Sha256Digest,
    max_size: Option<u64>,
}

impl Transaction {
    /// Plans `intents` of `tam`: everything that can be refused without running a command is refused here. `bound` says
    /// whether the message that brings them answers this device's own nonce (rule C6).
    pub fn begin(
        device: &mut Device<'_>,
        store: &TrustStore,
        tam: &TamAnchor,
        bound: bool,
        nonce: Option<Vec<u8>>,
        intents: Vec<Intent>,
    ) -> Result<Self, Refused> {
        let mut transaction = Self {
            tam: tam.clone(),
            nonce,
            journal: Journal::default(),
            staging: Staging::default(),
            installs: VecDeque::new(),
            personalizations: Vec::new(),
            active: None,
            reports: Vec::new(),
            effects: Vec::new(),
            concerned: Vec::new(),
            policy: owner::Policy::load(&Journal::default(), device.platform)?,
            withheld: Vec::new(),
            notes: Vec::new(),
            bundled: None,
        };
        // What changes domains comes first, for signers that it introduces may sign what is installed.
        let (changing, intents) = intents.into_iter().partition(domain::changes_domains);
        transaction.change_domains(device, store, changing)?;
        let store = &domains::with_signers(&transaction.journal, device.platform, store, &tam.owner)?;
        let (mut removals, mut drops) = (Vec::new(), Vec::new());
        let mut named = BTreeSet::new();
        for intent in intents {
            match intent {
                Intent::DropDomain { .. } if !bound => return Err(Refused::NotBound),
                Intent::DropDomain { name, components } => drops.push((name, components)),
                Intent::Personalize { manifest, data } => {
                    transaction.concerned.push(manifest.clone());
                    let of = PersonalizationOf::Manifest(manifest);
                    transaction.personalizations.push(Personalization { of, data: Secret::new(data) });
                }
                Intent::Remove { .. } if !bound => return Err(Refused::NotBound),
                Intent::Remove { manifest } => removals.push(manifest),
                Intent::Install { envelope } => {
                    let now = notes::time(device.platform, &tam.owner, device.now)?;
                    let limits = &device.config.manifest;
                    let authorised =
                        authority::authenticate(&envelope, store, Use::Install, now, limits, device.provider)
                            .map_err(|refusal| transaction.refuse(device, refusal))?;
                    if !named.insert(authorised.id.clone()) {
                        let detail = alloc::format!("{} stands twice in one Update", authorised.id);
                        return Err(transaction.refuse_authorised(
                            device,
                            &authorised,
                            codes::TEEP_MALFORMED,
                            Reason::OperationFailed,
                            detail,
                        ));
                    }
                    transaction.concerned.push(authorised.id.clone());
                    transaction.plan(device, authorised)?;
                }
                _ => return Err(Error::Intent.into()),
            }
        }
        // TEEP section 5.2: unlinking comes before installing.
        for manifest in removals {
            transaction.concerned.push(manifest.clone());
            transaction.remove(device, store, &manifest)?;
        }
        for (name, components) in drops {
            transaction.drop_domain(device, store, &name, components)?;
        }
        // After the removals, for one of them may be of what is installed again.
        for planned in core::mem::take(&mut transaction.installs) {
            transaction.check_precedence(device, planned, bound)?;
        }
        Ok(transaction)
    }

    /// Rules K7 and R1 as far as they can be seen before a command runs.
    fn plan(&mut self, device: &Device<'_>, authorised: Authorised) -> Result<(), Refused> {
        let manifest = &authorised.envelope.value().manifest;
        let outside =
            core::iter::once(&authorised.id).chain(&manifest.components).find(|id| !self.tam.covers(id));
        if let Some(id) = outside {
            let detail = alloc::format!("{id} lies outside the TAM's scopes");
            let (code, reason) = (codes::SUIT_UNAUTHORISED, Reason::ComponentUnauthorised);
            return Err(self.refuse_authorised(device, &authorised, code, reason, detail));
        }
        let sequence = manifest.sequence_number;
        let Authorised { envelope, anchor, id, digest, .. } = authorised;
        self.installs.push_back(Planned { envelope, anchor, id, digest, sequence });
        Ok(())
    }

    /// Rules R1, R2 and R3 against the counters and slots as they will be after the removals.
    fn check_precedence(
        &mut self,
        device: &mut Device<'_>,
        planned: Planned,
        bound: bool,
    ) -> Result<(), Refused> {
        let (platform, owner) = (&*device.platform, self.tam.owner);
        let counter = counters::get(&self.journal, platform, &owner, &planned.id)?;
        let operations = planned.anchor.operations;
        let live = counter.is_some_and(|counter| !counter.tombstone);
        let floor = counters::floor(&self.journal, platform, &owner, &planned.id)?;
        let refusal = match counters::compare(
            counter,
            floor,
            planned.anchor.epoch,
            planned.sequence,
            &planned.digest,
            bound,
        ) {
            Precedence::Refused => {
                let floor = floor.map_or(0, |floor| floor.1);
                let known = counter.map_or(floor, |counter| counter.sequence);
                let detail = alloc::format!(
                    "{}: sequence number {} does not supersede {known}",
                    planned.id,
                    planned.sequence
                );
                Some((codes::SUIT_ROLLBACK, Reason::ConditionFailed, detail))
            }
            Precedence::Same => {
                let AuthenticEnvelope { envelope, manifest } = planned.envelope.value();
                let report = reports::unchanged(envelope, manifest, self.nonce.as_deref());
                self.reports.push(reports::sign(&report, platform, self.tam.persona)?);
                self.effects.push(Effect::Unchanged { manifest: planned.id.clone() });
                return Ok(());
            }
            Precedence::First | Precedence::Newer | Precedence::Reinstall => {
                let allowed = if live { operations.update } else { operations.install };
                let what = if live { "update" } else { "install" };
                (!allowed).then(|| {
                    let detail = alloc::format!("its signer may not {what}");
                    (codes::SUIT_UNAUTHORISED, Reason::Unauthorised, detail)
                })
            }
        };
        let refusal = match refusal {
            Some(refusal) => Some(refusal),
            None => self.foreign_component(platform, &planned)?,
        };
        match refusal {
            None => {
                let components = &planned.envelope.value().manifest.components;
                let manifest = (&planned.id, &planned.digest);
                match self.policy.says(&self.tam, &planned.anchor.provider, manifest, components) {
                    None => self.installs.push_back(planned),
                    Some(why) => self.withhold(device, &planned, why)?,
                }
                Ok(())
            }
            Some((code, reason, detail)) => {
                let AuthenticEnvelope { envelope, manifest } = planned.envelope.value();
                let uri = manifest.reference_uri.clone().unwrap_or_default();
                let reference = Some(Box::new((uri, *envelope.digest())));
                Err(self.refuse(
                    device,
                    ManifestRefusal { reference, ..ManifestRefusal::new(code, reason, detail) },
                ))
            }
        }
    }

    /// Rules R1 and K1: a component has one manifest, and a manifest one provider.
    fn foreign_component(
        &self,
        platform: &dyn Platform,
        planned: &Planned,
    ) -> Result<Option<(Code, Reason, String)>, Refused> {
        let installed = slots::manifest(&self.journal, platform, &self.tam.owner, &planned.id)?;
        if installed.is_some_and(|manifest| manifest.provider != planned.anchor.provider) {
            let detail = alloc::format!("{} belongs to another provider", planned.id);
            return Ok(Some((codes::SUIT_NOT_OWNER, Reason::ComponentUnauthorised, detail)));
        }
        for id in &planned.envelope.value().manifest.components {
            let installed = slots::owning_manifest(&self.journal, platform, &self.tam.owner, id)?;
            if installed.is_some_and(|manifest| manifest != planned.id) {
                let detail = alloc::format!("{id} belongs to another manifest");
                return Ok(Some((codes::SUIT_NOT_OWNER, Reason::ComponentUnauthorised, detail)));
            }
        }
        Ok(None)
    }

    /// Goes on until a payload must be brought or all is done.
    pub fn run(&mut self, device: &mut Device<'_>) -> Result<Stop, Refused> {
        loop {
            let Some(mut active) = self.active.take() else {
                match self.installs.pop_front() {
                    Some(planned) => self.activate(device, planned)?,
                    None => {
                        self.personalize(device)?;
                        return Ok(Stop::Ready);
                    }
                }
                continue;
            };
            let tam = &self.tam;
            let may_name = |component: &ComponentId| active.anchor.covers(component) && tam.covers(component);
            let mut effects = StagingEffects {
                platform: &mut *device.platform,
                provider: device.provider,
                journal: &self.journal,
                staging: &mut self.staging,
                owner: &tam.owner,
                persona: tam.persona,
                manifest: &active.id,
                may_name: &may_name,
                uninstalling: false,
                max_in_memory: device.config.max_in_memory,
                bundled: self.bundled.as_ref(),
            };
            match active.machine.run(&mut effects, device.provider) {
                Step::Fetch(mut request) => match self.staging.begin(device.platform, &request.component) {
                    Ok(()) => {
                        active.max_size = request.max_size;
                        if self.bundled.as_ref() == Some(&request.component) {
                            request.uri = alloc::format!("{BUNDLE_SCHEME}{}", request.component);
                        }
                        self.active = Some(active);
                        return Ok(Stop::Fetch(request));
                    }
                    Err(e) => {
                        active.machine.fetched(Err(e));
                        self.active = Some(active);
                    }
                },
                Step::Done(Ok(())) => self.complete(device, active)?,
                Step::Done(Err(failure)) => {
                    let report = active.machine.report(self.nonce.as_deref());
                    return Err(Refused::Manifest {
                        code: failure.code,
                        detail: alloc::format!("{}: {failure}", active.id),
                        report: Some(reports::sign(&report, &*device.platform, self.tam.persona)?),
                    });
                }
            }
        }
    }

    fn activate(&mut self, device: &mut Device<'_>, planned: Planned) -> Result<(), Refused> {
        let Planned { envelope, anchor, id, digest, .. } = planned;
        let reference = envelope.value();
        let uri = reference.manifest.reference_uri.clone().unwrap_or_default();
        let reference = Some(Box::new((uri, *reference.envelope.digest())));
        let used = slots::used(&self.journal, device.platform, &self.tam.owner, &anchor.provider, &id)?;
        let mut room = anchor.quota.saturating_sub(used).min(device.config.max_payload);
        if let Some(domain) = domains::of(&self.journal, device.platform, &self.tam.owner, &id)? {
            let (owner, label) = (&self.tam.owner, &domain.label);
            let used = domains::used(&self.journal, device.platform, owner, label, Some(&id))?;
            room = room.min(domain.quota.saturating_sub(used));
        }
        self.staging.room = room;
        let machine = Machine::new(envelope, Procedure::Update, device.config.manifest).map_err(|e| {
            let refusal = ManifestRefusal::new(e.code(), e.reason(), alloc::format!("{e}"));
            self.refuse(device, ManifestRefusal { reference, ..refusal })
        })?;
        self.active = Some(Active { machine, anchor, id, digest, max_size: None });
        Ok(())
    }

    /// Takes what a manifest staged into the journal: components, record, counter and salt change together.
    fn complete(&mut self, device: &mut Device<'_>, active: Active) -> Result<(), Refused> {
        let owner = self.tam.owner;
        let Active { machine, anchor, id, digest, .. } = active;
        let staged = self.staging.take(device.platform);
        for (component, staged) in staged {
            if component.personalized_ta().is_some() {
                self.take_personalization(device, &machine, &anchor, &id, component, staged)?;
                continue;
            }
            let platform = &*device.platform;
            let new = slots::Component {
                manifest: id.clone(),
                blob: staged.blob,
                digest: measure::sha256(platform, device.provider, staged.blob).map_err(Error::from)?,
                size: staged.size,
            };
            slots::put_component(&mut self.journal, platform, &owner, &component, &new)?;
            let sequence = machine.manifest().sequence_number;
            notes::forget_request(&mut self.journal, platform, &component, Some(sequence))?;
        }
        let platform = &*device.platform;
        let listed = &machine.manifest().components;
        for (_, component, record) in slots::components(&self.journal, platform, Some(&owner))? {
            if record.manifest == id && !listed.contains(&component) {
                slots::remove_component(&mut self.journal, platform, &owner, &component)?;
            }
        }
        for (data, manifest) in slots::personalizations(&self.journal, platform, &owner)? {
            if manifest == id && !listed.contains(&data) {
                slots::remove_personalization(&mut self.journal, &owner, &data);
                if let Some(ta) = data.personalized_ta()
                    && let Some(ta) = slots::component(&self.journal, platform, &owner, &ta)?
                {
                    let journal = &mut self.journal;
                    ta::objects::forget_personalization(journal, platform, &owner, &ta.manifest)?;
                }
            }
        }
        let (epoch, sequence) = (anchor.epoch, machine.manifest().sequence_number);
        let record = slots::Manifest {
            sequence,
            digest,
            provider: anchor.provider,
            accepted: notes::time(platform, &owner, device.now)?,
            envelope: machine.envelope().without_payloads(),
        };
        slots::put_manifest(&mut self.journal, &owner, &id, &record);
        counters::put(&mut self.journal, &owner, &id, Counter { epoch, sequence, digest, tombstone: false });
        ta::objects::prepare(&mut self.journal, platform, device.provider, &owner, &id)?;
        notes::forget_request(&mut self.journal, platform, &id, Some(sequence))?;
        owner::forget(&mut self.journal, platform, &owner, &id)?;
        let report = machine.report(self.nonce.as_deref());
        self.reports.push(reports::sign(&report, platform, self.tam.persona)?);
        self.effects.push(Effect::Installed { manifest: id, sequence });
        Ok(())
    }

    /// Takes a chunk of the payload that is being fetched; `last` ends it. Gives whether the transaction can go on.
    pub fn chunk(&mut self, device: &mut Device<'_>, data: &[u8], last: bool) -> bool {
        let Some(active) = &mut self.active else { return false };
        let mut result = self.staging.receive(device.platform, data, active.max_size);
        if result.is_ok() && last {
            result = self.staging.end(device.platform);
        }
        let ended = last || result.is_err();
        if result.is_err() {
            self.staging.abandon(device.platform);
        }
        if ended {
            active.machine.fetched(result);
        }
        ended
    }

    /// The payload that is being fetched cannot be had.
    pub fn fetch_failed(&mut self, device: &mut Device<'_>) {
        self.staging.abandon(device.platform);
        if let Some(active) = &mut self.active {
            let error = EffectError::new(EffectErrorKind::Failed, "the payload cannot be fetched");
            active.machine.fetched(Err(error));
        }
    }

    /// Lets go of everything; the device is as it was.
    pub fn discard(mut self, device: &mut Device<'_>) {
        self.staging.discard(device.platform);
        for blob in self.journal.kept() {
            device.platform.discard(*blob);
        }
    }

    /// Whose transaction it is.
    pub fn tam(&self) -> &TamAnchor {
        &self.tam
    }

    fn refuse(&self, device: &Device<'_>, refusal: ManifestRefusal) -> Refused {
        let report = reports::refused(&refusal, self.nonce.as_deref());
        let report =
            report.and_then(|report| reports::sign(&report, &*device.platform, self.tam.persona).ok());
        Refused::Manifest { code: refusal.code, detail: refusal.detail, report }
    }

    fn refuse_authorised(
        &self,
        device: &Device<'_>,
        authorised: &Authorised,
        code: Code,
        reason: Reason,
        detail: String,
    ) -> Refused {
        let reference = Some(authorised.reference.clone());
        self.refuse(device, ManifestRefusal { reference, ..ManifestRefusal::new(code, reason, detail) })
    }
}
