//! OTrP messages in, OTrP messages out: authenticates, dispatches, tells the state of the device.

use alloc::string::ToString;
use alloc::vec::Vec;

use tamarack_crypto::{ConstantTimeEq, KeyType, SignatureAlgorithm};
use tamarack_jose::jwe::{Enc, Recipient};
use tamarack_jose::jws::{Purpose, SignHeaders, Signer, VerificationKey};
use tamarack_model::{Outcome, Protocol, UnixTime, codes};
use tamarack_otrp::request::GetDeviceState;
use tamarack_otrp::{Command, ErrorCode, Mode, Reason, Request, Sealing, SignedRequest, response};
use tamarack_tee::{OtrpIdentity, Platform};

use super::dsi::{self, Told};
use super::receive::{self, ALGORITHMS, Received, Speaker, Unreceived};
use super::refusal::Refusal;
use crate::Error;
use crate::agent::Agent;
use crate::api::{Output, Progress};
use crate::journal::Journal;
use crate::trust::{AnchorState, TamAnchor, TrustStore};
use crate::{notes, views};

impl<P: Platform> Agent<P> {
    /// ProcessOTrPMessage: authenticates, dispatches, answers.
    ///
    /// Nobody but a TAM of this device whose certificate holds and is not revoked gets an answer that this device signed,
    /// and nothing is stored for anybody else (security rule E5).
    pub(crate) fn process_otrp(&mut self, now: UnixTime, message: &[u8]) -> Result<(), Error> {
        self.not_processing()?;
        let store = crate::owner::store(&self.platform)?;
        let certified = |tam: &TamAnchor| {
            self.platform.otrp(tam.persona).is_some_and(|identity| !identity.chain().is_empty())
        };
        if !store.tams.iter().any(certified) {
            return Err(Error::NoOtrp);
        }
        let Self { platform, provider, config, otrp, .. } = self;
        let received = match receive::receive(platform, provider, config, otrp, &store, now, message) {
            Ok(received) => received,
            Err(Unreceived::Algorithm(signed)) => return self.refuse_algorithm(now, &signed),
            Err(Unreceived::Silent(refusal)) => {
                return match self.repeat_unattended(&store, message)? {
                    true => Ok(()),
                    false => self.refuse_silently(&refusal),
                };
            }
        };
        match received.request.command() {
            Command::GetDeviceState => self.device_state(now, &store, received),
            Command::CreateSd
            | Command::UpdateSd
            | Command::DeleteSd
            | Command::InstallTa
            | Command::UpdateTa
            | Command::DeleteTa => self.command(now, &store, received),
        }
    }

    /// GetDeviceState (section 9.1).
    fn device_state(
        &mut self,
        now: UnixTime,
        store: &TrustStore,
        received: Received<'_>,
    ) -> Result<(), Error> {
        let Received { tam, speaker, request, .. } = received;
        let (rid, tid) = (request.rid().cloned(), request.tid().cloned());
        let request = match request.read() {
            Ok(Request::GetDeviceState { request, tolerances }) => {
                self.note_tolerances(tam, &tolerances);
                request
            }
            // A TAM that signs well may still be revoked: what it is told comes from nobody.
            Ok(Request::Sealed(_)) => return Err(Error::Intent),
            Err(e) => {
                let refusal = Refusal::from(e);
                let reason = Reason::new(refusal.error);
                if let (Some(rid), Some(tid)) = (rid, tid) {
                    self.answer_anonymously(now, tam, |signer| {
                        response::failure(Command::GetDeviceState, &rid, &tid, &reason, None, signer)
                    })?;
                }
                return self.refuse_silently(&refusal);
            }
        };
        let statuses = receive::statuses(&self.platform, &self.provider, &speaker, &request.ocspdat, now);
        let statuses = match statuses {
            Ok(statuses) => statuses,
            Err(refusal) => return self.refuse_silently(&refusal),
        };
        let mut journal = Journal::default();
        notes::raise_floor(&mut journal, &self.platform, &tam.owner, statuses.produced_at)?;
        match self.tell_state(now, store, tam, &speaker, &request, &mut journal) {
            Ok(message) => {
                journal.commit(&mut self.platform)?;
                let now = notes::time(&self.platform, &tam.owner, now)?;
                self.otrp.remember(&request.tid, speaker, now, statuses.next_update);
                self.outputs.push_back(Output::Progress(Progress::Answered { attested: true }));
                self.transmit_otrp(tam, message);
                Ok(())
            }
            Err(refusal) => {
                let mut floor = Journal::default();
                notes::raise_floor(&mut floor, &self.platform, &tam.owner, statuses.produced_at)?;
                floor.commit(&mut self.platform)?;
                let supported = (refusal.error == ErrorCode::UnsupportedCryptoAlg).then_some(&ALGORITHMS[..]);
                let message = self.fail_state(tam, &request, &refusal, supported)?;
                self.transmit_otrp(tam, message);
                self.finish(Outcome::Refused(refusal.code), refusal.to_string());
                Ok(())
            }
        }
    }

    /// The signed response with the DSI, which the journal remembers as told.
    fn tell_state(
        &mut self,
        now: UnixTime,
        store: &TrustStore,
        tam: &TamAnchor,
        speaker: &Speaker,
        request: &GetDeviceState,
        journal: &mut Journal,
    ) -> Result<Vec<u8>, Refusal> {
        let es256 = SignatureAlgorithm::Es256.name();
        if request.supportedsigalgs.as_ref().is_some_and(|names| !names.iter().any(|name| name == es256)) {
            let detail = "the TAM verifies no ES256, with which this TEE signs";
            return Err(Refusal::new(ErrorCode::UnsupportedCryptoAlg, detail));
        }
        if !self.otrp.may_tell(tam.owner, now, self.config.evidence_per_minute) {
            return Err(Refusal::with(ErrorCode::TeeFail, codes::OVERLOADED, "asked for too often"));
        }
        let tam_uri = self.asked_at(store, tam);
        let identity = self.identity(tam)?;
        let view = views::get(journal, &self.platform, &tam.owner)?.unwrap_or_default();
        let epoch = view.epoch.saturating_add(1);
        let told = Told {
            journal,
            provider: &self.provider,
            platform: &self.platform,
            sessions: &self.sessions,
            identity,
            store,
            tam,
            tam_uri: &tam_uri,
            epoch,
        };
        let dsi = dsi::with_evidence(&told, dsi::state(&told)?, &request.tid)?.serialize();
        let recipient = recipient(speaker)?;
        let sealing = self.sealing(identity, &recipient);
        let message = response::device_state(&request.rid, &request.tid, false, &dsi, &sealing)?;
        let hashes = dsi.hashes(&self.provider);
        let told = Some([hashes.wrapped, hashes.bare]);
        views::put(journal, &tam.owner, &views::View { epoch, told, chain: speaker.path.clone(), ..view });
        Ok(message)
    }

    fn fail_state(
        &self,
        tam: &TamAnchor,
        request: &GetDeviceState,
        refusal: &Refusal,
        supported: Option<&[SignatureAlgorithm]>,
    ) -> Result<Vec<u8>, Error> {
        let (command, reason) = (Command::GetDeviceState, refusal.reason());
        let signer = Signer::Es256(self.identity(tam)?.signer());
        response::failure(command, &request.rid, &request.tid, &reason, supported, signer)
            .map_err(|_| Error::Signing)
    }

    /// A sender whose algorithm is not spoken here is told which one is: by a key made for it, since nobody knows yet who
    /// asks.
    fn refuse_algorithm(&mut self, now: UnixTime, signed: &SignedRequest) -> Result<(), Error> {
        let name = signed.algorithm().name();
        let detail = alloc::format!("{name} is not among the algorithms of this TEE");
        let refusal =
            Refusal::with(ErrorCode::UnsupportedCryptoAlg, codes::OTRP_UNSUPPORTED_CRYPTO_ALG, detail);
        let (rid, tid) = (signed.rid_unverified(), signed.tid_unverified());
        if let (Some(rid), Some(tid), Some(tam_uri)) = (rid, tid, self.exchange.tam_uri.clone()) {
            let reason = Reason::new(refusal.error);
            let command = signed.command();
            self.anonymously(now, tam_uri, |signer| {
                response::failure(command, rid, tid, &reason, Some(&ALGORITHMS), signer)
            })?;
        }
        self.refuse_silently(&refusal)
    }

    fn answer_anonymously(
        &mut self,
        now: UnixTime,
        tam: &TamAnchor,
        make: impl FnOnce(Signer<'_>) -> Result<Vec<u8>, tamarack_otrp::Error>,
    ) -> Result<(), Error> {
        let tam_uri = self.answer_to(tam);
        self.anonymously(now, tam_uri, make)
    }

    /// Sends what `make` signs with a key that is forgotten at once; not if there is too much of it.
    fn anonymously(
        &mut self,
        now: UnixTime,
        tam_uri: alloc::string::String,
        make: impl FnOnce(Signer<'_>) -> Result<Vec<u8>, tamarack_otrp::Error>,
    ) -> Result<(), Error> {
        if !self.otrp.may_refuse(now, self.config.refusals_per_minute) {
            return Ok(());
        }
        let pkcs8 = self.provider.keys.generate_pkcs8(KeyType::P256)?;
        let key = self.provider.keys.load_pkcs8(pkcs8.expose())?;
        let message = make(Signer::Es256(&*key)).map_err(|_| Error::Signing)?;
        self.outputs.push_back(Output::Transmit { tam_uri, protocol: Protocol::Otrp, message });
        Ok(())
    }

    /// A command that was carried out before the power failed comes again, in a session that nobody remembers: who has its
    /// exact bytes and signature gets the answer that was given to them (rule R10, A-32). Nothing is done.
    fn repeat_unattended(&mut self, store: &TrustStore, message: &[u8]) -> Result<bool, Error> {
        let Ok(signed) = SignedRequest::parse(message, &Mode::Compat, &self.config.otrp) else {
            return Ok(false);
        };
        let hash = signed.signing_input_hash(&self.provider);
        let active = store.tams.iter().filter(|tam| tam.state == AnchorState::Active && tam.otrp.is_some());
        for tam in active {
            let view = views::get(&Journal::default(), &self.platform, &tam.owner)?;
            let Some(last) = view.and_then(|view| view.last) else { continue };
            if !bool::from(last.request.ct_eq(&hash)) {
                continue;
            }
            let key = VerificationKey::new(&last.key, Purpose::OtrpRequest);
            if key.is_ok_and(|key| signed.verify(&key, &self.provider).is_ok()) {
                self.repeat(tam, last.response);
                return Ok(true);
            }
            return Ok(false);
        }
        Ok(false)
    }

    pub(super) fn repeat(&mut self, tam: &TamAnchor, response: Vec<u8>) {
        self.transmit_otrp(tam, response);
        self.finish(Outcome::Unchanged, "this command was answered before");
    }

    /// Ends without a message: whoever sent this learns nothing.
    pub(super) fn refuse_silently(&mut self, refusal: &Refusal) -> Result<(), Error> {
        self.finish(Outcome::Refused(refusal.code), refusal.to_string());
        Ok(())
    }

    pub(super) fn note_tolerances(&mut self, tam: &TamAnchor, tolerances: &[tamarack_otrp::Tolerance]) {
        if tam.otrp.as_ref().is_some_and(|otrp| otrp.draft) {
            let tolerated = tolerances.iter().map(|tolerance| alloc::format!("{tolerance:?}")).collect();
            self.outputs.push_back(Output::Progress(Progress::Tolerated { owner: tam.owner, tolerated }));
        }
    }

    /// What the device is to this TAM.
    pub(super) fn identity(&self, tam: &TamAnchor) -> Result<&dyn OtrpIdentity, Error> {
        self.platform.otrp(tam.persona).ok_or(Error::NoOtrp)
    }

    pub(super) fn sealing<'a>(
        &'a self,
        identity: &'a dyn OtrpIdentity,
        recipient: &'a Recipient,
    ) -> Sealing<'a> {
        Sealing {
            signer: Signer::Es256(identity.signer()),
            headers: SignHeaders::default(),
            recipient,
            enc: Enc::A128CbcHs256,
            provider: &self.provider,
        }
    }

    pub(super) fn transmit_otrp(&mut self, tam: &TamAnchor, message: Vec<u8>) {
        let tam_uri = self.answer_to(tam);
        self.outputs.push_back(Output::Transmit { tam_uri, protocol: Protocol::Otrp, message });
    }
}

/// The TAM, to be encrypted to.
pub(super) fn recipient(speaker: &Speaker) -> Result<Recipient, Refusal> {
    Recipient::from_spki(&speaker.spki).map_err(|e| Refusal::untrusted(e.code(), e))
}
