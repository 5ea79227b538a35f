//! What came of a command, by the word of the TEE whose certificate was pinned.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_jose::jwe::DecryptionKey;
use tamarack_jose::jws::{self, VerificationKey};
use tamarack_model::{Code, ComponentId, HeldBack, OwnerSays, codes};
use tamarack_otrp::response::Content;
use tamarack_otrp::{ErrorCode, Reason, ResponseBody, SignedResponse, Status};
use tamarack_store::{
    Device, Held, OtrpDevice, PendingCommand, Personalization, Proof, SessionOutcome, StoreError, StoreOp,
};

use super::appraise::told;
use super::correlate::pending_key;
use super::plan::Told;
use super::state::{Ready, Request, Standing, failed, refuse, unknown_request};
use crate::config::OtrpConfig;
use crate::teep::reported;
use crate::{Event, Reply, Subject};

impl Request<'_> {
    /// The answer to a command: found by its ids, verified with the certificate that was pinned, decrypted, and only then
    /// believed.
    pub(super) fn command_response(
        &self,
        otrp: &OtrpConfig,
        response: SignedResponse,
    ) -> Result<Ready, Reply> {
        let subject = Subject::CommandResponse;
        let store = |e: StoreError| failed(subject, codes::STORE_FAILED, e);
        let crypto = &self.tam.crypto;
        let (rid, tid) = (response.rid().as_str(), response.tid().as_str());
        let key = pending_key(response.command(), rid, tid, crypto);
        let pending = self.read.pending(self.tenant, &key).map_err(store)?;
        let pending = pending.filter(|pending| pending.expires >= self.now);
        let pending = pending.ok_or_else(|| unknown_request(subject))?;
        let command = pending.command.clone().ok_or_else(|| unknown_request(subject))?;
        let device = self.read.device(self.tenant, &pending.device).map_err(store)?;
        let device = device.ok_or_else(|| unknown_request(subject))?;
        let record = device.otrp.clone().filter(|record| record.did == command.did);
        let record = record.ok_or_else(|| unknown_request(subject))?;

        let malformed = |code: Code, e: &dyn core::fmt::Display| refuse(400, code, subject, e.to_string());
        let spki =
            tamarack_x509::unvalidated_spki(&record.certificate).map_err(|e| failed(subject, e.code(), e))?;
        let key = VerificationKey::new(&spki, jws::Purpose::OtrpResponse)
            .map_err(|e| failed(subject, e.code(), e))?;
        let tid = response.tid().clone();
        let mut authentic = response.verify(&key, crypto).map_err(|e| malformed(e.code(), &e))?;

        let told = told_of(&device, &record);
        let recorded = self.read.recorded(self.tenant, &device.id).map_err(store)?;
        let burn = StoreOp::TakePending { tenant: self.tenant.clone(), token_hash: pending.token_hash };
        let standing = Standing {
            subject,
            session: pending.session,
            device: Device { last_seen: self.now, ..device },
            recorded,
            told,
            dsihash: [0; 32],
            tid,
            restarted: command.restarted,
            round: command.round,
            before: Some(pending),
            burn,
            notes: Vec::new(),
        };
        let content = match authentic.open(DecryptionKey::Agree(otrp.signer.agree.as_ref()), crypto) {
            Ok(content) => content,
            Err(e) => return Ok(self.fail(standing, e.code(), format!("the answer cannot be read: {e}"))),
        };
        match (authentic.status(), content, authentic.body()) {
            (_, Some(content), _) if content.did != record.did => {
                let text = "the answer names another device than the one that signed it".into();
                Ok(self.fail(standing, codes::EVIDENCE_KEY_BINDING, text))
            }
            (Status::Pass, Some(content), _) => self.passed(otrp, standing, command, content),
            (Status::Fail, Some(Content { reason: Some(reason), .. }), _) => {
                self.refused(otrp, standing, &reason)
            }
            (Status::Fail, None, ResponseBody::Failed { reason, .. }) => self.refused(otrp, standing, reason),
            _ => {
                let text = "the answer says neither how it went nor why not".into();
                Ok(self.fail(standing, codes::OTRP_MALFORMED, text))
            }
        }
    }

    /// The TEE says that it did as told.
    fn passed(
        &self,
        otrp: &OtrpConfig,
        mut standing: Standing,
        command: PendingCommand,
        content: Content,
    ) -> Result<Ready, Reply> {
        let subject = standing.subject;
        let store = |e: StoreError| failed(subject, codes::STORE_FAILED, e);
        let device = &mut standing.device;
        if let (Some(record), Some(domain)) = (&mut device.otrp, command.domain) {
            record.domains.retain(|held| held.name != domain.name);
            if !command.drops {
                record.domains.push(domain);
            }
        }
        if let Some(pending) = &standing.before {
            let outcome = SessionOutcome::Updated;
            device.reported = Some(reported(self.read, device, pending, self.now, outcome).map_err(store)?);
        }
        // What goes with a TA has to come again with the TA.
        for row in self.read.personalizations(self.tenant, &device.id).map_err(store)? {
            let removed = standing.before.iter().any(|pending| pending.removals.contains(&row.manifest));
            if removed && row.delivered.is_some() {
                standing.notes.push(StoreOp::SetPersonalization(Personalization { delivered: None, ..row }));
            }
        }
        if let Some((manifest, set)) = command.personalizes {
            standing.notes.push(StoreOp::DeliverPersonalization {
                tenant: self.tenant.clone(),
                device: device.id,
                manifest,
                set,
                at: self.now,
            });
        }
        let Some(dsi) = content.dsi else {
            // It tells no state, so the next command needs a new exchange.
            let text = "done, and the device did not tell its state".into();
            return self.again(otrp, standing, SessionOutcome::Unconfirmed, None, text, false);
        };
        standing.dsihash = dsi.hash(&self.tam.crypto);
        let dsi = dsi.into_dsi();
        let certificate = device.otrp.as_ref().map(|record| &record.certificate);
        if certificate != Some(&dsi.tee.cert) {
            let text = "the state is that of another TEE than the one that signed it".into();
            return Ok(self.fail(standing, codes::EVIDENCE_KEY_BINDING, text));
        }
        let wants_status = standing.told.device.wants_status;
        standing.told = told(&dsi, command.did, wants_status, Some(device));
        device.otrp = Some(standing.told.device.clone());
        device.reported = Some(standing.told.held(self.now, Proof::Report));
        self.proceed(otrp, standing)
    }

    /// The TEE says why it did not.
    fn refused(&self, otrp: &OtrpConfig, mut standing: Standing, reason: &Reason) -> Result<Ready, Reply> {
        let code = reason.code.code();
        let text = describe_reason(reason);
        if let Some(says) = owner_says(reason) {
            let manifests = standing.before.iter().flat_map(|pending| &pending.manifests);
            let ids: Vec<ComponentId> = manifests.map(|manifest| manifest.id.clone()).collect();
            // The version is not in the answer; the next state of a device that knows the extension has it.
            let withheld = &mut standing.device.held_back;
            withheld.retain(|one| !ids.contains(&one.id));
            withheld.extend(ids.into_iter().map(|id| HeldBack { id, why: says, sequence: None }));
            let text = format!("{}: {text}", says.as_str());
            return Ok(self.conclude(standing, SessionOutcome::of_owner(says), says.code(), text));
        }
        if reason.code == ErrorCode::DevStateMismatch && !standing.restarted {
            let text = format!("{text}; began again");
            return self.again(otrp, standing, SessionOutcome::Failed, Some(code), text, true);
        }
        Ok(self.fail(standing, code, text))
    }

    /// Ends the session and asks for the state anew.
    fn again(
        &self,
        otrp: &OtrpConfig,
        standing: Standing,
        outcome: SessionOutcome,
        code: Option<Code>,
        text: String,
        restarted: bool,
    ) -> Result<Ready, Reply> {
        let message = self.get_device_state(otrp, standing.subject, restarted)?;
        let event = Event { code, ..standing.event(text.clone()) };
        let ops = self.end(standing, outcome, code, text);
        Ok(Ready::Persist { ops, reply: Reply::Transmit { message, event } })
    }
}

/// What was known before the answer, for answers that bring no state.
fn told_of(device: &Device, record: &OtrpDevice) -> Told {
    let held = device.reported.as_ref().map_or_else(Vec::new, |held: &Held| held.entries.clone());
    let view = tamarack_model::View { held, ..tamarack_model::View::default() };
    Told { device: record.clone(), view, present: Vec::new() }
}

/// What the device's owner says, which our Agents put in front of the text because the draft has no word for it.
fn owner_says(reason: &Reason) -> Option<OwnerSays> {
    let code = reason.message.as_deref()?.split(':').next()?;
    OwnerSays::of(Code::parse(code)?)
}

/// A reason in a sentence.
pub(super) fn describe_reason(reason: &Reason) -> String {
    match &reason.message {
        Some(message) => format!("{}: {}", reason.code, crate::printable(message)),
        None => reason.code.to_string(),
    }
}
