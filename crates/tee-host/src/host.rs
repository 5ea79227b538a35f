use std::mem;
use std::time::{SystemTime, UNIX_EPOCH};

use tamarack_agent::{
    Agent, AgentConfig, ComponentStatus, Error as AgentError, Input, Output, Progress, SessionId, TaName,
};
use tamarack_channel::{
    Action, Domain, Enrolment, Failure, Installed, Profile, Reply, Request, Requests, Status, TaState,
    Target, Value,
};
use tamarack_cose::thumbprint;
use tamarack_crypto::Provider;
use tamarack_model::permission::{Role, permits};
use tamarack_model::{ComponentId, Outcome, UnixTime, codes};
use tamarack_tee::{Params, Persona, Platform, TaError};
use tamarack_tee_sandbox::Layers;
use tamarack_tee_sandbox::isolation::Report;
use tamarack_tee_sandbox::launcher::Launcher;
use tamarack_tee_sandbox::panel::Panel;
use tamarack_tee_sandbox::platform::{CertificateError, SoftwarePlatform};
use tamarack_tee_sandbox::sealed::Store;

use crate::enrol;

/// What a device stands on besides its store.
pub(crate) struct Base {
    pub layers: Layers,
    pub launcher: Launcher,
    pub panel: Option<Panel>,
}

/// How far the device in the storage folder has come.
pub(crate) enum Device {
    /// Nothing was made yet.
    Blank(Box<(Store, Base)>),
    /// Keys were made; whether trust anchors were sealed, the Agent knows.
    Made(Box<Agent<SoftwarePlatform>>),
    /// It cannot be used, for this reason.
    Unusable(Failure),
}

impl Device {
    /// The device in `store`.
    pub(crate) fn open(store: Store, base: Base, provider: Provider) -> Result<Self, Failure> {
        if !SoftwarePlatform::is_enrolled(&store) {
            return Ok(Self::Blank(Box::new((store, base))));
        }
        SoftwarePlatform::open(store, base.launcher, base.layers, provider)
            .map(|platform| Self::made(platform.with_panel(base.panel), provider))
            .map_err(platform_failure)
    }

    fn made(platform: SoftwarePlatform, provider: Provider) -> Self {
        Self::Made(Box::new(Agent::new(platform, provider, AgentConfig::default())))
    }

    /// Takes the device out, to be put back changed; what is left in between is never seen.
    fn take(&mut self) -> Self {
        mem::replace(self, Self::Unusable(Failure::new(codes::INTERNAL, "the device is being changed")))
    }
}

/// Answers requests of the channel.
pub(crate) struct Host {
    device: Device,
    report: Report,
    launcher: Option<Launcher>,
    provider: Provider,
    follow: Follow,
    /// Whether trust anchors were sealed.
    enrolled: bool,
}

/// What the app that is waiting wants to see.
#[derive(Default)]
struct Follow {
    /// The component that it asked for.
    component: Option<ComponentId>,
    /// Lowest sequence number that will do.
    minimum: Option<u64>,
    /// Bytes received and to be received of the payload on its way.
    received: u64,
    total: Option<u64>,
}

impl Follow {
    fn progress(&self, state: TaState) -> Option<Action> {
        let component = self.component.clone()?;
        Some(Action::Progress { component, state, received: self.received, total: self.total })
    }
}

impl Host {
    pub(crate) fn new(
        device: Result<Device, Failure>,
        report: Report,
        launcher: Option<Launcher>,
        provider: Provider,
    ) -> Self {
        let device = device.unwrap_or_else(Device::Unusable);
        let enrolled = matches!(&device, Device::Made(agent) if agent.status().is_ok());
        Self { device, report, launcher, provider, follow: Follow::default(), enrolled }
    }

    /// Answers one request.
    pub(crate) fn handle(&mut self, request: Request) -> Reply {
        let reply = self.permit(&request).and_then(|()| self.answer(request)).unwrap_or_else(Reply::failed);
        // What the rollback counter has not counted, an old copy of the storage would undo: nobody is told of it.
        match self.count() {
            Ok(()) => reply,
            Err(failure) => Reply::failed(failure),
        }
    }

    fn count(&mut self) -> Result<(), Failure> {
        match &mut self.device {
            Device::Blank(blank) => blank.0.count().map_err(platform_failure),
            Device::Made(agent) => agent.count().map_err(|error| agent_failure(&error)),
            Device::Unusable(_) => Ok(()),
        }
    }

    /// Whoever holds the channel of a device that is not enrolled is its maker; afterwards it is a Broker, for good.
    fn permit(&mut self, request: &Request) -> Result<(), Failure> {
        let role = match &self.device {
            Device::Unusable(_) => return Ok(()),
            Device::Blank { .. } => Role::Maker,
            Device::Made(_) if self.enrolled => Role::Broker,
            Device::Made(_) => Role::Maker,
        };
        let action = request.action();
        match (permits(role, action).is_some(), role) {
            (true, _) => Ok(()),
            (false, Role::Maker) => {
                Err(Failure::new(codes::CONFIG_INVALID, "the device has not been enrolled"))
            }
            (false, _) => {
                let text = format!("a Broker may not do this ({})", action.id());
                Err(Failure::new(codes::NOT_PERMITTED, text))
            }
        }
    }

    fn answer(&mut self, request: Request) -> Result<Reply, Failure> {
        match request {
            Request::RequestTa { component, tam_uri } => {
                self.follow = Follow { component: Some(component.clone()), ..Follow::default() };
                self.feed(Input::RequestTa { component, tam_uri }, Some(TaState::Pending))
            }
            Request::EnsureTa { component, tam_uri, minimum, bundled } => {
                self.follow = Follow { component: Some(component.clone()), minimum, ..Follow::default() };
                let input = Input::EnsureTa { component, tam_uri, minimum, bundled };
                self.feed(input, Some(TaState::Pending))
            }
            Request::UnrequestTa { component } => {
                self.follow = Follow::default();
                self.feed(Input::UnrequestTa { component }, None)
            }
            Request::RequestPolicyCheck => {
                self.follow = Follow::default();
                self.feed(Input::RequestPolicyCheck, None)
            }
            Request::ProcessTeepMessage(message) => self.feed(Input::ProcessTeepMessage(message), None),
            Request::ProcessError => self.feed(Input::ProcessError, Some(TaState::Failed)),
            Request::Chunk { fetch, data, last } => {
                self.follow.received += data.len() as u64;
                let state = if last { TaState::Installing } else { TaState::Downloading };
                self.feed(Input::Chunk { fetch, data, last }, Some(state))
            }
            Request::FetchFailed { fetch } => self.feed(Input::FetchFailed { fetch }, None),
            Request::OpenSession { target, tam_uri, params } => {
                self.open_session(target, tam_uri.as_deref(), params)
            }
            Request::Invoke { session, command, params } => self.invoke(session, command, params),
            Request::CloseSession { session } => self
                .with_agent(|agent, now| agent.close_session(now, SessionId(session)).map(|()| Value::Done)),
            Request::Status => self.status().map(|status| Reply::value(Value::Status(Box::new(status)))),
            Request::Csr(profile) => self.csr(&profile),
            Request::Enrol(enrolment) => {
                self.enrol(&enrolment)?;
                self.enrolled = true;
                Ok(Reply::done())
            }
            Request::AnnounceTa { .. } | Request::OfferBundle { .. } => {
                Err(Failure::new(codes::USAGE, "this is for the Broker to answer"))
            }
            Request::ChangeAnchor(order) => {
                self.with_agent(|agent, _| agent.change_anchor(&order).map(|()| Value::Done))
            }
            Request::OwnerChallenge => {
                self.with_agent(|agent, _| agent.owner_challenge().map(Value::OwnerChallenge))
            }
            Request::OwnerOrder(order) => {
                self.with_agent(|agent, _| agent.owner_order(&order).map(Value::OwnerStatement))
            }
            Request::ProcessOtrpMessage(message) => self.feed(Input::ProcessOtrpMessage(message), None),
            Request::GetTaInformation { query, tam_uri } => self.with_agent(|agent, _| {
                agent.ta_information(&query, tam_uri.as_deref()).map(Value::TaInformation)
            }),
        }
    }

    fn agent(&mut self) -> Result<&mut Agent<SoftwarePlatform>, Failure> {
        match &mut self.device {
            Device::Made(agent) => Ok(agent),
            Device::Unusable(failure) => Err(failure.clone()),
            Device::Blank(_) => Err(Failure::new(codes::CONFIG_INVALID, "the device has not been enrolled")),
        }
    }

    /// Feeds the Agent, then turns what it wants done into actions. `state` is what the waiting app sees first.
    fn feed(&mut self, input: Input, state: Option<TaState>) -> Result<Reply, Failure> {
        let fed = self.agent()?.handle(now(), input);
        let mut actions: Vec<Action> =
            state.and_then(|state| self.follow.progress(state)).into_iter().collect();
        while let Some(output) = self.agent()?.poll_output() {
            self.act(output, &mut actions)?;
        }
        let result = fed.map(|()| Value::Done).map_err(|error| agent_failure(&error));
        if result.is_err() {
            actions.extend(self.follow.progress(TaState::Failed));
        }
        Ok(Reply { result, actions })
    }

    fn act(&mut self, output: Output, actions: &mut Vec<Action>) -> Result<(), Failure> {
        match output {
            Output::Connect { tam_uri, protocol } => actions.push(Action::Connect { tam_uri, protocol }),
            Output::Transmit { tam_uri, protocol, message } => {
                actions.push(Action::Send { tam_uri, protocol, message })
            }
            Output::Fetch { fetch: id, uri, max_size } => {
                (self.follow.received, self.follow.total) = (0, max_size);
                actions.extend(self.follow.progress(TaState::Downloading));
                actions.push(Action::Fetch { id, uri, max_size });
            }
            Output::Progress(progress) => log(&progress),
            Output::Finished(finished) => {
                let mut installed = || self.is_installed().map(|there| there.then_some(TaState::Installed));
                let (failure, state) = match finished.outcome {
                    Outcome::Done | Outcome::Unchanged => (None, installed()?),
                    Outcome::Refused(code) => {
                        (Some(Failure::new(code, finished.detail)), Some(TaState::Failed))
                    }
                    // What the owner says may be about something else of the same Update.
                    Outcome::RefusedByOwner => {
                        let failure = Failure::new(codes::OWNER_REFUSED, finished.detail);
                        (Some(failure), installed()?.or(Some(TaState::Denied)))
                    }
                    Outcome::Deferred => {
                        eprintln!("agent: {}", finished.detail);
                        (None, installed()?.or(Some(TaState::Deferred)))
                    }
                };
                actions.extend(state.and_then(|state| self.follow.progress(state)));
                actions.push(Action::Finished { failure });
            }
        }
        Ok(())
    }

    /// Whether what the waiting app asked for is there.
    fn is_installed(&mut self) -> Result<bool, Failure> {
        let Some(wanted) = self.follow.component.clone() else { return Ok(false) };
        let status = self.agent()?.status().map_err(|error| agent_failure(&error))?;
        let minimum = self.follow.minimum.unwrap_or_default();
        let is_it = |one: &ComponentStatus| one.component == wanted || one.manifest == wanted;
        let can_be_used = |one: &ComponentStatus| one.sequence >= minimum && !one.stopped;
        Ok(status.components.iter().any(|one| is_it(one) && can_be_used(one)))
    }

    fn with_agent(
        &mut self,
        call: impl FnOnce(&mut Agent<SoftwarePlatform>, UnixTime) -> Result<Value, AgentError>,
    ) -> Result<Reply, Failure> {
        let agent = self.agent()?;
        let value = call(agent, now()).map_err(|error| agent_failure(&error));
        // A TA's log lines, and nothing that the Broker has to do.
        while let Some(output) = agent.poll_output() {
            if let Output::Progress(progress) = output {
                log(&progress);
            }
        }
        value.map(Reply::value)
    }

    fn open_session(
        &mut self,
        target: Target,
        tam_uri: Option<&str>,
        mut params: Params,
    ) -> Result<Reply, Failure> {
        let name = match target {
            Target::Uuid(uuid) => TaName::Uuid(uuid),
            Target::Component(id) => TaName::Component(id),
        };
        self.with_agent(|agent, now| {
            let session = agent.open_session(now, &name, tam_uri, &mut params)?;
            Ok(Value::Session(session.0))
        })
    }

    fn invoke(&mut self, session: u32, command: u32, mut params: Params) -> Result<Reply, Failure> {
        self.with_agent(|agent, now| {
            let code = match agent.invoke(now, SessionId(session), command, &mut params) {
                Ok(()) => 0,
                Err(AgentError::Ta(TaError::Returned(code))) => code.0,
                Err(error) => return Err(error),
            };
            Ok(Value::Returned { code, params })
        })
    }

    /// Makes the device's keys if there are none yet, and gives the requests for their certificates.
    fn csr(&mut self, profile: &Profile) -> Result<Reply, Failure> {
        if let Device::Blank(_) = &self.device {
            let config = enrol::config(profile);
            if let Device::Blank(blank) = self.device.take() {
                let (store, Base { layers, launcher, panel }) = *blank;
                match SoftwarePlatform::create(store, launcher, layers, &config, self.provider) {
                    Ok(platform) => self.device = Device::made(platform.with_panel(panel), self.provider),
                    Err(error) => self.device = Device::Unusable(platform_failure(error)),
                }
            }
        }
        let platform = self.agent()?.platform();
        let name = &profile.common_name;
        let attestation = platform.certificate_requests(name).map_err(platform_failure)?.concat();
        let otrp = platform.otrp_certificate_requests(name).map_err(platform_failure)?;
        let (tee, firmware): (Vec<_>, Vec<_>) = otrp.into_iter().unzip();
        Ok(Reply::value(Value::Csr(Requests { attestation, tee: tee.concat(), firmware: firmware.concat() })))
    }

    /// Installs the certificates and seals the trust anchors; refused on a device that was enrolled before.
    fn enrol(&mut self, enrolment: &Enrolment) -> Result<(), Failure> {
        if self.agent()?.status().is_ok() {
            return Err(agent_failure(&AgentError::AlreadyEnrolled));
        }
        let seed = enrol::seed(enrolment, &self.provider)?;
        let Device::Made(agent) = self.device.take() else {
            return Err(Failure::new(codes::INTERNAL, "the device changed while it was enrolled"));
        };
        let mut platform = agent.into_platform();
        let done = install(&mut platform, enrolment).and_then(|()| {
            Agent::enrol(&mut platform, &self.provider, &seed).map_err(|error| agent_failure(&error))
        });
        self.device = Device::made(platform, self.provider);
        done
    }

    fn status(&mut self) -> Result<Status, Failure> {
        let mut missing_layers: Vec<_> = self.report.missing.iter().map(ToString::to_string).collect();
        let hello = self.launcher.as_ref().map(Launcher::hello);
        for one in hello.iter().flat_map(|hello| &hello.missing) {
            if !missing_layers.contains(one) {
                missing_layers.push(format!("around the launcher: {one}"));
            }
        }
        let mut status = Status {
            state_digest: [0; 32],
            state_epoch: 0,
            layers: self.report.layers.bits(),
            missing_layers,
            pid: std::process::id(),
            launcher_pid: hello.map_or(0, |hello| hello.pid),
            uid: self.report.uid,
            measured: hello.map_or([[0; 32]; 3], |hello| {
                [hello.agent_digest, hello.launcher_digest, hello.configuration_digest]
            }),
            device_id: None,
            report_key: None,
            enrolled: false,
            trust_store_sequence: 0,
            installed: Vec::new(),
            peripherals: Vec::new(),
            otrp_name: None,
            otrp_ready: false,
            domains: Vec::new(),
        };
        let agent = match &self.device {
            Device::Blank(_) => return Ok(status),
            Device::Unusable(failure) => return Err(failure.clone()),
            Device::Made(agent) => agent,
        };
        let root = agent.state_root();
        (status.state_digest, status.state_epoch) = (root.digest, root.epoch);
        let platform = agent.platform();
        if !self.enrolled {
            // For the maker's records. Whoever holds the channel later is the rich OS, which learns no name of the device
            // (security rule E5).
            let attestation_key = platform.attestation_public_key(Persona(0)).map_err(platform_failure)?;
            status.device_id = Some(thumbprint(&attestation_key, &self.provider).0);
            let report_key = platform.report_key(Persona(0)).map_err(platform_failure)?;
            status.report_key = Some(report_key.public_key().to_spki());
        }
        if let Some(otrp) = platform.otrp(Persona(0)) {
            status.otrp_name = Some(otrp.name().into());
            status.otrp_ready = !otrp.chain().is_empty();
        }
        match agent.status() {
            Ok(of_agent) => {
                status.enrolled = true;
                status.trust_store_sequence = of_agent.trust_store_sequence;
                status.peripherals = of_agent.peripherals;
                let installed = of_agent.components.into_iter().map(|one| Installed {
                    component: one.component,
                    manifest: one.manifest,
                    sequence_number: one.sequence,
                    digest: one.digest.0,
                    size: one.size,
                    provider: one.provider,
                });
                status.installed = installed.collect();
                let tam_uri = |owner| {
                    let tam = of_agent.tams.iter().find(|(id, _, _)| *id == owner);
                    tam.and_then(|(_, uri, _)| uri.clone())
                };
                let domains = of_agent.domains.into_iter().map(|domain| Domain {
                    tam_uri: tam_uri(domain.owner),
                    name: domain.name,
                    label: domain.label,
                    provider: domain.provider,
                    signers: domain.signers.into_iter().map(|digest| digest.0).collect(),
                    manifests: domain.manifests as u64,
                    used: domain.used,
                    quota: domain.quota,
                });
                status.domains = domains.collect();
                Ok(status)
            }
            Err(AgentError::NotEnrolled) => Ok(status),
            Err(error) => Err(agent_failure(&error)),
        }
    }
}

/// What the Agent did, for the log of whoever started the device. Nothing here is secret: TAs are told that their log is
/// read outside.
fn log(progress: &Progress) {
    match progress {
        Progress::TaLog { manifest, line } => eprintln!("ta {manifest}: {line}"),
        Progress::Changed(effect) => eprintln!("agent: {effect:?}"),
        Progress::Answered { attested: true } => eprintln!("agent: answered with Evidence"),
        Progress::Answered { attested: false } => eprintln!("agent: answered"),
        Progress::OwnerOrder { sequence, changes } => {
            eprintln!("agent: the owner's order {sequence} changed {changes} rules or approvals");
        }
        Progress::Tolerated { tolerated, .. } => {
            let more = tolerated.iter().map(|one| format!(", {one}")).collect::<String>();
            eprintln!("agent: accepted the plain form of the OTrP draft{more}");
        }
        _ => {}
    }
}

/// Stores the certificates of an enrolment: those of the attestation key, and those of OTrP if there are any.
fn install(platform: &mut SoftwarePlatform, enrolment: &Enrolment) -> Result<(), Failure> {
    let failure = |error: CertificateError| match error {
        CertificateError::Platform(error) => platform_failure(error),
        CertificateError::NoOtrp => Failure::new(codes::CONFIG_INVALID, error.to_string()),
        other => Failure::new(codes::X509_MALFORMED, other.to_string()),
    };
    platform.install_certificates(enrolment.chains.clone()).map_err(failure)?;
    if enrolment.otrp_chains.is_empty() && enrolment.firmware_chains.is_empty() {
        return Ok(());
    }
    let (chains, firmware) = (enrolment.otrp_chains.clone(), enrolment.firmware_chains.clone());
    platform.install_otrp_certificates(chains, firmware).map_err(failure)
}

fn agent_failure(error: &AgentError) -> Failure {
    Failure::new(error.code(), error.to_string())
}

fn platform_failure(error: tamarack_tee::Error) -> Failure {
    Failure::new(error.code(), error.to_string())
}

/// The host's time: untrusted (security rule S3), the Agent keeps a floor under it.
fn now() -> UnixTime {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
