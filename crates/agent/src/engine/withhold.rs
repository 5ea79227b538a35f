//! What the rules of the device's owner keep out of a transaction; everything else of it goes on.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_model::{ComponentId, HeldBack, OwnerSays};
use tamarack_suit::{AuthenticEnvelope, Reason};
use tamarack_tee::Platform;

use super::{Device, Planned, Refused, Transaction};
use crate::authority::ManifestRefusal;
use crate::journal::Journal;
use crate::{Error, owner, reports};

fn withheld_text(id: &ComponentId, why: OwnerSays) -> String {
    match why {
        OwnerSays::Refused => alloc::format!("the device's owner denies {id}"),
        OwnerSays::Deferred => alloc::format!("{id} waits for the consent of the device's owner"),
    }
}

impl Transaction {
    /// The device's owner does not let this manifest in, now or at all: it is noted, reported and left out.
    pub(super) fn withhold(
        &mut self,
        device: &Device<'_>,
        planned: &Planned,
        why: OwnerSays,
    ) -> Result<(), Refused> {
        let AuthenticEnvelope { envelope, manifest } = planned.envelope.value();
        let detail = withheld_text(&planned.id, why);
        let uri = manifest.reference_uri.clone().unwrap_or_default();
        let reference = Some(Box::new((uri, *envelope.digest())));
        let refusal =
            ManifestRefusal { reference, ..ManifestRefusal::new(why.code(), Reason::Unauthorised, detail) };
        if let Some(report) = reports::refused(&refusal, self.nonce.as_deref()) {
            self.reports.push(reports::sign(&report, &*device.platform, self.tam.persona)?);
        }
        let note = owner::Note {
            digest: planned.digest,
            sequence: planned.sequence,
            provider: planned.anchor.provider.clone(),
            since: device.now,
            components: manifest.components.clone(),
        };
        self.notes.push((planned.id.clone(), note));
        self.withheld.push(HeldBack { id: planned.id.clone(), why, sequence: Some(planned.sequence) });
        Ok(())
    }

    /// Has `journal` remember what was withheld.
    pub fn note_withheld(&self, journal: &mut Journal, platform: &dyn Platform) -> Result<(), Error> {
        self.notes.iter().try_for_each(|(id, note)| owner::note(journal, platform, &self.tam.owner, id, note))
    }

    /// Has its own journal remember what was withheld, and gives what its TAM is told of that.
    pub fn note_and_report(&mut self, platform: &dyn Platform) -> Result<Vec<HeldBack>, Error> {
        let mut journal = core::mem::take(&mut self.journal);
        let noted = self.note_withheld(&mut journal, platform);
        self.journal = journal;
        noted.and_then(|()| owner::report(&self.journal, platform, &self.tam, &[]))
    }

    /// Whether the rules that it was planned by are still in force.
    pub fn is_current(&self, platform: &dyn Platform) -> Result<bool, Error> {
        Ok(owner::Policy::load(&Journal::default(), platform)?.sequence == self.policy.sequence)
    }

    /// What the device's owner says of it as a whole, in words too, if anything was withheld.
    pub fn owner_says(&self) -> Option<(OwnerSays, String)> {
        let why = self.withheld.iter().map(|one| one.why).max()?;
        let mut text = String::new();
        for one in &self.withheld {
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(&withheld_text(&one.id, one.why));
        }
        Some((why, text))
    }
}
