//! The commands for Security Domains and TAs (draft sections 9.2 and 9.3): their checks from the clear members on, in one
//! order for all of them, and their end.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use tamarack_crypto::{ConstantTimeEq, PublicKey};
use tamarack_jose::jwe::DecryptionKey;
use tamarack_model::{Intent, Outcome, OwnerSays, UnixTime};
use tamarack_otrp::request::Content;
use tamarack_otrp::response::{self, Content as Answer};
use tamarack_otrp::{ErrorCode, MessageId, Request, SealedRequest};
use tamarack_tee::Platform;

use super::dsi::{self, Told};
use super::exchange::recipient;
use super::receive::{self, Received, Speaker};
use super::refusal::Refusal;
use super::state::Pending;
use super::ta::Commanded;
use super::{domain, receive::tamid};
use crate::agent::Agent;
use crate::engine::{Device, Refused, Transaction};
use crate::journal::Journal;
use crate::processing::{Processing, Reply};
use crate::trust::{OtrpPrincipal, TamAnchor, TrustStore};
use crate::views::{self, Last, View};
use crate::{Error, aik, notes};

impl<P: Platform> Agent<P> {
    pub(super) fn command(
        &mut self,
        now: UnixTime,
        store: &TrustStore,
        received: Received<'_>,
    ) -> Result<(), Error> {
        let Received { tam, otrp, speaker, request, hash, in_session } = received;
        let command = request.command();
        let (rid, tid) = (request.rid().cloned(), request.tid().cloned());
        let read = request.read();
        if !in_session {
            let stapled = match &read {
                Ok(Request::Sealed(request)) => request.ocspdat().map(<[_]>::to_vec),
                _ => None,
            };
            if let Err(refusal) = self.check_statuses(now, tam, &speaker, tid.as_ref(), stapled) {
                return match self.last(tam, &hash)? {
                    Some(last) if last.key == speaker.spki => {
                        self.repeat(tam, last.response);
                        Ok(())
                    }
                    _ => self.refuse_silently(&refusal),
                };
            }
        }
        // From here on the TAM is who it says it is, and gets an answer.
        let (Some(rid), Some(tid)) = (rid, tid) else {
            let detail = "a rid or tid is missing, without which there is no answer";
            return self.refuse_silently(&Refusal::new(ErrorCode::RequestInvalid, detail));
        };
        let pending = Pending {
            command,
            rid,
            tid,
            nextdsi: false,
            speaker,
            request: hash,
            sdname: None,
            spid: None,
            tolerances: Vec::new(),
        };
        let request = match read {
            Ok(Request::Sealed(request)) => *request,
            Ok(Request::GetDeviceState { .. }) => return Err(Error::Intent),
            Err(e) => return self.refuse_command(tam, &e.into(), &pending),
        };
        if let Some(last) = self.last(tam, &hash)? {
            self.repeat(tam, last.response);
            return Ok(());
        }
        let mut pending = Pending { nextdsi: request.common().nextdsi, ..pending };
        let intents = self.intents(store, tam, otrp, request, &mut pending);
        match intents.and_then(|intents| self.begin(now, store, tam, intents, &pending)) {
            Ok(transaction) => {
                let reply = Reply::Otrp(Box::new(pending));
                self.advance(now, Processing::new(transaction, reply))
            }
            Err(refusal) => self.refuse_command(tam, &refusal, &pending),
        }
    }

    /// Statuses that came with the command begin a session; without them, and without one, nobody knows the sender.
    fn check_statuses(
        &mut self,
        now: UnixTime,
        tam: &TamAnchor,
        speaker: &Speaker,
        tid: Option<&MessageId>,
        stapled: Option<Vec<Vec<u8>>>,
    ) -> Result<(), Refusal> {
        let (Some(stapled), Some(tid)) = (stapled, tid) else {
            let detail = "the certificate's status was not checked in this transaction";
            return Err(Refusal::new(ErrorCode::TamNotTrusted, detail));
        };
        let checked = receive::statuses(&self.platform, &self.provider, speaker, &stapled, now)?;
        let mut journal = Journal::default();
        notes::raise_floor(&mut journal, &self.platform, &tam.owner, checked.produced_at)?;
        journal.commit(&mut self.platform)?;
        let now = notes::time(&self.platform, &tam.owner, now)?;
        self.otrp.remember(tid, speaker.clone(), now, checked.next_update);
        Ok(())
    }

    /// The answer to this very command, if it is the last one that was carried out and nothing has changed since.
    fn last(&self, tam: &TamAnchor, hash: &[u8; 32]) -> Result<Option<Last>, Error> {
        let view = views::get(&Journal::default(), &self.platform, &tam.owner)?;
        Ok(view.and_then(|view| view.last).filter(|last| last.request.ct_eq(hash).into()))
    }

    /// Plans what a command asks. A dsihash binds it to this device and this very state, as rule C6 wants.
    fn begin(
        &mut self,
        now: UnixTime,
        store: &TrustStore,
        tam: &TamAnchor,
        intents: Vec<Intent>,
        pending: &Pending,
    ) -> Result<Transaction, Refusal> {
        self.note_tolerances(tam, &pending.tolerances);
        let Self { platform, provider, config, .. } = self;
        let mut device = Device { platform, provider, config, now };
        let transaction = Transaction::begin(&mut device, store, tam, true, None, intents)
            .map_err(|refused| Refusal::of(refused, pending.command))?;
        let Some((says, text)) = transaction.owner_says() else { return Ok(transaction) };
        // A command is one thing: nothing of it is done.
        let mut journal = Journal::default();
        transaction.note_withheld(&mut journal, device.platform)?;
        transaction.discard(&mut device);
        journal.commit(&mut self.platform)?;
        Err(Refusal::with(ErrorCode::of(says.code()), says.code(), text))
    }

    /// The checks of section 9 that all commands share, then those of each.
    fn intents(
        &self,
        store: &TrustStore,
        tam: &TamAnchor,
        otrp: &OtrpPrincipal,
        mut request: SealedRequest,
        pending: &mut Pending,
    ) -> Result<Vec<Intent>, Refusal> {
        let identity = self.identity(tam)?;
        let common = request.common();
        if common.tee != identity.name() {
            return Err(Refusal::new(ErrorCode::RequestInvalid, "the request is for another TEE"));
        }
        let view = views::get(&Journal::default(), &self.platform, &tam.owner)?;
        let told = view.and_then(|view| view.told);
        let is_told = told.is_some_and(|[wrapped, bare]| {
            let either = wrapped.ct_eq(&common.dsihash) | bare.ct_eq(&common.dsihash);
            either.into()
        });
        if !is_told {
            let detail = "something has changed since, or the state was never told";
            return Err(Refusal::new(ErrorCode::DevStateMismatch, detail));
        }
        let content = request.open(DecryptionKey::Agree(identity.agreement()), &self.provider)?;
        if content.tamid() != tamid(otrp) {
            let detail = "tamid is not the name in the certificate";
            return Err(Refusal::new(ErrorCode::TamNotAuthorized, detail));
        }
        let Self { platform, provider, config, .. } = self;
        let speaker = &pending.speaker;
        let commanded = Commanded { platform, provider, config, identity, store, tam, speaker };
        let encrypted = request.encrypted_ta();
        let encrypted = || encrypted.ok_or(tamarack_otrp::Error::Missing("encrypted_ta".into()));
        let intents = match content {
            Content::CreateSd(content) => {
                let own = identity.chain().first().map(|leaf| provider.sha256(leaf));
                if own.is_none_or(|own| !bool::from(own.ct_eq(&content.did))) {
                    return Err(Refusal::new(ErrorCode::RequestInvalid, "did is another device's"));
                }
                pending.sdname = Some(content.sdname.clone());
                pending.spid = Some(content.spid.clone());
                domain::create(identity, speaker, content)?
            }
            Content::UpdateSd(content) => {
                let intents = domain::update(platform, config, identity, tam, speaker, content)?;
                pending.spid = intents.iter().find_map(|intent| match intent {
                    Intent::RotateKey { provider } => Some(provider.clone()),
                    _ => None,
                });
                intents
            }
            Content::DeleteSd(content) => domain::delete(platform, tam, content)?,
            Content::InstallTa(content) => commanded.install(content, encrypted()?)?,
            Content::UpdateTa(content) => commanded.update(content, encrypted()?)?,
            Content::DeleteTa(content) => commanded.delete(&content)?,
        };
        pending.tolerances = request.tolerances().to_vec();
        Ok(intents)
    }

    /// A command is planned and staged: what is told of it is kept with what it did.
    pub(crate) fn end_command(
        &mut self,
        now: UnixTime,
        mut transaction: Transaction,
        pending: Pending,
    ) -> Result<(), Error> {
        let tam = transaction.tam().clone();
        let message = match self.answer(&tam, &mut transaction.journal, &pending) {
            Ok(message) => message,
            Err(refusal) => {
                self.discard(now, transaction);
                return self.refuse_command(&tam, &refusal, &pending);
            }
        };
        match self.settle(now, transaction) {
            Ok(effects) => {
                self.transmit_otrp(&tam, message);
                self.tell(effects, None);
                Ok(())
            }
            Err(e) => self.refuse_command(&tam, &e.into(), &pending),
        }
    }

    /// The response, with a DSI of the device as it will be if one is wanted; the journal remembers both. The DSI that the
    /// command referred to is used up, whatever the command came to (rule R10).
    fn answer(&self, tam: &TamAnchor, journal: &mut Journal, pending: &Pending) -> Result<Vec<u8>, Refusal> {
        let identity = self.identity(tam)?;
        let view = views::get(journal, &self.platform, &tam.owner)?.unwrap_or_default();
        let mut answer = Answer::new(self.did(tam)?);
        answer.sdname.clone_from(&pending.sdname);
        let (mut epoch, mut told) = (view.epoch, None);
        if pending.nextdsi {
            epoch = epoch.saturating_add(1);
            let store = crate::owner::store(&self.platform)?;
            let tam_uri = self.asked_at(&store, tam);
            let about = Told {
                journal,
                store: &store,
                provider: &self.provider,
                platform: &self.platform,
                sessions: &self.sessions,
                identity,
                tam,
                tam_uri: &tam_uri,
                epoch,
            };
            let dsi = tamarack_otrp::Dsi { tfwdata: None, tee: dsi::state(&about)? }.serialize();
            let hashes = dsi.hashes(&self.provider);
            told = Some([hashes.wrapped, hashes.bare]);
            answer.dsi = Some(dsi);
        } else if let Some(key) = self.new_key(tam, journal, pending)? {
            answer.teespaik = Some(dsi::jwk(&key)?);
        }
        let recipient = recipient(&pending.speaker)?;
        let sealing = self.sealing(identity, &recipient);
        let message = response::seal(pending.command, &pending.rid, &pending.tid, &answer, &sealing)?;
        let (key, response) = (pending.speaker.spki.clone(), message.clone());
        let last = Some(Last { request: pending.request, key, response });
        views::put(journal, &tam.owner, &View { epoch, told, last, ..view });
        Ok(message)
    }

    /// The key that TAs of the provider are encrypted to, if this command made it.
    fn new_key(
        &self,
        tam: &TamAnchor,
        journal: &Journal,
        pending: &Pending,
    ) -> Result<Option<PublicKey>, Error> {
        let Some(spid) = &pending.spid else { return Ok(None) };
        let key_in = |journal: &Journal| -> Result<Option<PublicKey>, Error> {
            let keys = aik::get(journal, &self.platform, &tam.owner, spid)?;
            Ok(keys.map(|keys| keys.enc_public))
        };
        let (before, after) = (key_in(&Journal::default())?, key_in(journal)?);
        Ok(after.filter(|_| after != before))
    }

    pub(crate) fn fail_command(
        &mut self,
        tam: &TamAnchor,
        refused: Refused,
        pending: &Pending,
    ) -> Result<(), Error> {
        let refusal = Refusal::of(refused, pending.command);
        self.refuse_command(tam, &refusal, pending)
    }

    /// Tells a TAM that its command failed: nothing changed, and what it was told before still holds.
    fn refuse_command(&mut self, tam: &TamAnchor, refusal: &Refusal, pending: &Pending) -> Result<(), Error> {
        let answer = Answer { reason: Some(refusal.reason()), ..Answer::new(self.did(tam)?) };
        let recipient = recipient(&pending.speaker).map_err(|_| Error::Signing)?;
        let sealing = self.sealing(self.identity(tam)?, &recipient);
        let Pending { command, rid, tid, .. } = pending;
        let message = response::seal(*command, rid, tid, &answer, &sealing).map_err(|_| Error::Signing)?;
        self.transmit_otrp(tam, message);
        let outcome = match OwnerSays::of(refusal.code) {
            Some(OwnerSays::Refused) => Outcome::RefusedByOwner,
            Some(OwnerSays::Deferred) => Outcome::Deferred,
            None => Outcome::Refused(refusal.code),
        };
        self.finish(outcome, refusal.to_string());
        Ok(())
    }

    /// SHA-256 of the TEE's certificate, as this TAM knows it.
    fn did(&self, tam: &TamAnchor) -> Result<[u8; 32], Error> {
        let leaf = self.identity(tam)?.chain().first().ok_or(Error::NoOtrp)?;
        Ok(self.provider.sha256(leaf))
    }
}
