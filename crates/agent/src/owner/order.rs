use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_cbor::Encode;
use tamarack_cose::CoseKey;
use tamarack_crypto::{KeyType, Provider, PublicKey, Sign};
use tamarack_model::{ComponentId, OwnerId};
use tamarack_owner::{CHALLENGE_SIZE, Change, Digest, Effect, Order, Selector, Statement, TamView, Waiting};
use tamarack_tee::Platform;

use super::policy::{Approval, MAX_APPROVALS, Policy, names};
use super::withheld::{noted, stopped};
use crate::agent::Agent;
use crate::api::{Output, Progress};
use crate::journal::Journal;
use crate::record::{ANCHOR_OWNER, ANSWER, POLICY, POLICY_KEY};
use crate::trust::{AnchorState, TamAnchor, TrustStore};
use crate::{Error, views};

/// Most questions to owners that wait for an answer; the oldest makes room.
const MAX_CHALLENGES: usize = 8;

/// The questions that an order may answer, each once. All of it is in memory: a restart voids them.
#[derive(Default)]
pub(crate) struct Challenges(VecDeque<[u8; CHALLENGE_SIZE]>);

/// Makes the key by which the device's owner knows what this device tells: a new one for each owner.
pub(crate) fn install(journal: &mut Journal, provider: &Provider) -> Result<(), Error> {
    let key = provider.keys.generate_pkcs8(KeyType::Ed25519)?;
    journal.put(POLICY_KEY.to_vec(), key.expose().to_vec());
    Ok(())
}

/// The device authority gave the device another owner, or none: the rules and their key were the old one's, who gets
/// nothing told any more. A new owner finds the rules as they are; without one there are none.
pub(crate) fn replace(
    journal: &mut Journal,
    platform: &dyn Platform,
    provider: &Provider,
    has_owner: bool,
) -> Result<(), Error> {
    if has_owner {
        return install(journal, provider);
    }
    for key in [ANCHOR_OWNER, POLICY_KEY, POLICY] {
        if journal.get(platform, key)?.is_some() {
            journal.delete(key.to_vec());
        }
    }
    Ok(())
}

impl<P: Platform> Agent<P> {
    /// What the next order of the device's owner must answer. Without an owner there is nothing to ask.
    pub fn owner_challenge(&mut self) -> Result<[u8; CHALLENGE_SIZE], Error> {
        TrustStore::load(&self.platform)?.device_owner.ok_or(Error::NoOwner)?;
        let mut challenge = [0; CHALLENGE_SIZE];
        self.provider.random.fill(&mut challenge)?;
        if self.owner.0.len() >= MAX_CHALLENGES {
            self.owner.0.pop_front();
        }
        self.owner.0.push_back(challenge);
        Ok(challenge)
    }

    /// Carries out an order of the device's owner (a [`tamarack_owner::Order`] in a COSE_Sign1) whole or not at all, and gives
    /// the signed [`Statement`] about what is in force then. What is denied stops at once (security rule L1); an Update or
    /// command on its way fails, and its TAM may try again.
    pub fn owner_order(&mut self, signed: &[u8]) -> Result<Vec<u8>, Error> {
        let store = TrustStore::load(&self.platform)?;
        let owner = store.device_owner.ok_or(Error::NoOwner)?;
        let order = Order::verify(signed, &owner, &self.provider).map_err(|e| Error::Owner(e.to_string()))?;
        let asked = self.owner.0.iter().position(|challenge| *challenge == order.challenge);
        let asked = asked
            .ok_or_else(|| Error::Owner("it answers no question of this device, or one twice".into()))?;
        self.owner.0.remove(asked);

        let mut journal = Journal::default();
        let mut policy = Policy::load(&journal, &self.platform)?;
        for change in &order.changes {
            apply(&mut journal, &self.platform, &store, &mut policy, change)?;
        }
        if !order.changes.is_empty() {
            policy.sequence += 1;
            policy.put(&mut journal);
            for tam in &store.tams {
                views::changed(&mut journal, &self.platform, &tam.owner)?;
            }
            // They say what came of Updates under other rules.
            journal.delete_all(&self.platform, ANSWER)?;
        }
        let digest = self.provider.sha256(signed);
        let key = self.statement_key()?;
        let statement = statement(&journal, &self.platform, &store, &policy, digest, key.public_key())?;
        let denied: BTreeSet<(OwnerId, ComponentId)> = {
            let mut denied = BTreeSet::new();
            for tam in &store.tams {
                let of_tam = stopped(&journal, &self.platform, &policy, tam)?;
                denied.extend(of_tam.into_iter().map(|(owner, id, _)| (owner, id)));
            }
            denied
        };
        let statement = statement.sign(&*key).map_err(|_| Error::Signing)?;
        journal.commit(&mut self.platform)?;
        self.sessions.end(|owner, scope| denied.contains(&(*owner, scope.manifest.clone())));
        if !order.changes.is_empty() {
            let (sequence, changes) = (policy.sequence, order.changes.len());
            self.outputs.push_back(Output::Progress(Progress::OwnerOrder { sequence, changes }));
        }
        Ok(statement)
    }

    fn statement_key(&self) -> Result<alloc::boxed::Box<dyn Sign>, Error> {
        let pkcs8 = self.platform.get(POLICY_KEY)?.ok_or(Error::Corrupt("owner's key"))?;
        Ok(self.provider.keys.load_pkcs8(&pkcs8)?)
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T, Error> {
    Err(Error::Owner(why.into()))
}

/// The TAM of this device that is called `name`.
fn tam_of<'s>(store: &'s TrustStore, name: &str) -> Result<&'s TamAnchor, Error> {
    match store.tams.iter().find(|tam| names(tam).contains(&name)) {
        Some(tam) => Ok(tam),
        None => refused(alloc::format!("no TAM of this device is called {name}")),
    }
}

fn apply(
    journal: &mut Journal,
    platform: &dyn Platform,
    store: &TrustStore,
    policy: &mut Policy,
    change: &Change,
) -> Result<(), Error> {
    match change {
        Change::Rule { selector, effect } => {
            // A name that was mistyped would silently deny nobody.
            if let (Selector::Tam(Some(name)), Some(_)) = (selector, effect) {
                tam_of(store, name)?;
            }
            policy.rules.set(selector, *effect).map_err(|e| Error::Owner(e.to_string()))
        }
        Change::Approve { tam, manifest, digest } => {
            let tam = tam_of(store, tam)?;
            let notes = noted(journal, platform, Some(&tam.owner))?;
            let found = notes.into_iter().find(|(_, id, note)| id == manifest && note.digest == *digest);
            let Some((_, _, note)) = found else {
                return refused(alloc::format!("{manifest} does not wait in this version"));
            };
            let ids = note.components.iter().chain([manifest]);
            if policy.effect(tam, Some(&note.provider), ids) == Effect::Deny {
                return refused(alloc::format!("{manifest} is denied; an approval does not change that"));
            }
            let (owner, manifest, digest) = (tam.owner, manifest.clone(), *digest);
            // One version of a manifest at a time.
            policy.approvals.retain(|one| one.owner != owner || one.manifest != manifest);
            if policy.approvals.len() >= MAX_APPROVALS {
                return refused(alloc::format!("{MAX_APPROVALS} approvals wait for their TAMs already"));
            }
            policy.approvals.push(Approval { owner, manifest, digest });
            Ok(())
        }
        Change::Key(key) => {
            if store.has(key) {
                return refused("the new key belongs to an anchor already");
            }
            journal.put(ANCHOR_OWNER.to_vec(), CoseKey(*key).to_cbor());
            Ok(())
        }
    }
}

fn statement(
    journal: &Journal,
    platform: &dyn Platform,
    store: &TrustStore,
    policy: &Policy,
    order: Digest,
    key: PublicKey,
) -> Result<Statement, Error> {
    let first_name = |tam: &TamAnchor| names(tam).first().map_or_else(String::new, ToString::to_string);
    let (mut tams, mut waiting, mut not_running) = (Vec::new(), Vec::new(), Vec::new());
    for tam in &store.tams {
        tams.push(TamView {
            names: names(tam).into_iter().map(String::from).collect(),
            active: tam.state == AnchorState::Active,
            effect: policy.of_tam(tam),
        });
        for (_, manifest, note) in noted(journal, platform, Some(&tam.owner))? {
            waiting.push(Waiting {
                tam: first_name(tam),
                says: policy.says(tam, &note.provider, (&manifest, &note.digest), &note.components),
                approved: policy.is_approved(&tam.owner, &manifest, &note.digest),
                manifest,
                digest: note.digest,
                sequence: note.sequence,
                provider: note.provider,
                since: note.since,
            });
        }
        for (_, manifest, _) in stopped(journal, platform, policy, tam)? {
            not_running.push((first_name(tam), manifest));
        }
    }
    let (sequence, rules) = (policy.sequence, policy.rules.clone());
    Ok(Statement { order, key, sequence, rules, tams, waiting, stopped: not_running })
}
