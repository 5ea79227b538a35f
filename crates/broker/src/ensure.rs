use tamarack_channel::{Failure, TaState};
use tamarack_model::codes;

use crate::package::Dependency;
use crate::{Client, Error, Progress};

/// What came of [`Client::ensure_ta`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// It can be used.
    Installed,
    /// It waits for the consent of the device's owner; asking again shows whether that was given.
    Deferred,
}

impl Client {
    /// All that an app does before it uses a TA: nothing if the device has it in a version that will do, without any network;
    /// else its TAMs are asked, in their order, until one brings it. `observe` sees how it goes, with the TAM that is asked.
    ///
    /// Fails with [`codes::PACKAGE_UNMET`] if none does, with [`codes::HTTP_PEER`] if none can be reached, with
    /// [`codes::OWNER_REFUSED`] if the device's owner denies it, and with [`codes::BUNDLE_REFUSED`] if a TAM grants another
    /// content than the one that the app brought along.
    pub fn ensure_ta(
        &mut self,
        need: &Dependency,
        observe: &mut dyn FnMut(Option<&str>, &Progress),
    ) -> Result<Ensured, Error> {
        let mut failures: Vec<Failure> = Vec::new();
        let tams: Vec<Option<&str>> = match &need.tams[..] {
            [] => vec![None],
            tams => tams.iter().map(|tam| Some(tam.as_str())).collect(),
        };
        for tam in tams {
            match self.ask(need, tam, observe) {
                Ok(Some(ensured)) => return Ok(ensured),
                Ok(None) => failures.push(Failure::new(codes::PACKAGE_UNMET, not_brought(need, tam))),
                Err(Error::Failed(failure)) if is_final(&failure, need) => {
                    return Err(Error::Failed(told(failure, need)));
                }
                Err(Error::Failed(failure)) => {
                    let text = format!("{}: {failure}", tam.unwrap_or("the device's TAM"));
                    failures.push(Failure::new(failure.code, text));
                }
                Err(error) => return Err(error),
            }
        }
        let code = match failures.iter().all(|failure| failure.code == codes::HTTP_PEER) {
            true => codes::HTTP_PEER,
            false => codes::PACKAGE_UNMET,
        };
        let texts: Vec<String> = failures.into_iter().map(|failure| failure.text).collect();
        Err(Error::Failed(Failure::new(code, format!("{}: {}", need.ta, texts.join("; ")))))
    }

    /// Asks one TAM; None if it has not decided for it.
    fn ask(
        &mut self,
        need: &Dependency,
        tam: Option<&str>,
        observe: &mut dyn FnMut(Option<&str>, &Progress),
    ) -> Result<Option<Ensured>, Error> {
        let mut state = TaState::Pending;
        let following = self.request_version(&need.ta, tam, need.minimum_sequence, need.bundle.as_deref())?;
        for progress in following {
            match progress {
                Ok(progress) => {
                    state = progress.state;
                    observe(tam, &progress);
                }
                // Something else of the same Update may have failed or been denied.
                Err(Error::Failed(_)) if state == TaState::Installed => {}
                Err(error) => return Err(error),
            }
        }
        Ok(match state {
            TaState::Installed => Some(Ensured::Installed),
            TaState::Deferred => Some(Ensured::Deferred),
            TaState::Pending
            | TaState::Downloading
            | TaState::Installing
            | TaState::Failed
            | TaState::Denied => None,
        })
    }
}

/// Whether asking another TAM is no way around it.
fn is_final(failure: &Failure, need: &Dependency) -> bool {
    failure.code == codes::OWNER_REFUSED || (need.bundle.is_some() && is_of_bundle(failure))
}

/// A condition that failed of a component that came from the app: its digest or size is another one.
fn is_of_bundle(failure: &Failure) -> bool {
    [codes::SUIT_CONDITION, codes::SUIT_LIMIT].contains(&failure.code)
}

fn told(failure: Failure, need: &Dependency) -> Failure {
    match is_of_bundle(&failure) {
        true => {
            let text =
                format!("the bundled content of {} is not what the TAM grants: {}", need.ta, failure.text);
            Failure::new(codes::BUNDLE_REFUSED, text)
        }
        false => failure,
    }
}

fn not_brought(need: &Dependency, tam: Option<&str>) -> String {
    let tam = tam.unwrap_or("the device's TAM");
    match need.minimum_sequence {
        Some(minimum) => format!("{tam} does not bring it with sequence number {minimum} or higher"),
        None => format!("{tam} does not bring it"),
    }
}
