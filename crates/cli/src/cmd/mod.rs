//! The commands, one file per noun; a new noun is a file and a row here.

pub mod agent;
mod app;
mod bench;
mod completions;
pub mod demo;
mod dev;
mod domain;
mod explain;
mod inspect;
mod manifest;
mod owner;
mod panel;
mod pki;
mod policy;
mod reference;
pub mod ta;
mod tam;
mod verifier;

use crate::fail::Outcome;

/// Every noun of the command line.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Play the whole story on this machine: provision, use, update, attack
    Demo(demo::Args),
    /// Make and run a device: its Broker and its software TEE
    Agent(agent::Args),
    /// Say as a device's owner which TAMs, providers and TAs it lets in
    Owner(owner::Args),
    /// Be a normal app: request, use and give up Trusted Applications
    App(app::Args),
    /// Make, serve, keep and ask a TAM
    Tam(tam::Args),
    /// Security Domains: create, share and delete them at a TAM
    Domain(domain::Args),
    /// A developer's whole world in one command
    Dev(dev::Args),
    /// Make, test and sign Trusted Applications
    Ta(ta::Args),
    /// Explain, verify and try out SUIT manifests
    Manifest(manifest::Args),
    /// Be a device's own screen and keys, which its rich OS neither sees nor answers
    Panel(panel::Args),
    /// Make development keys, authorities and certificates
    Pki(pki::Args),
    /// Say which devices are given what, and ask what that would do
    Policy(policy::Args),
    /// Say what devices should run, and ask which of it is in force
    Reference(reference::Args),
    /// Make and serve a verifier, have Evidence appraised, check Attestation Results
    Verifier(verifier::Args),
    /// Show a CBOR, COSE, EAT, SUIT, TEEP, JOSE or OTrP object as an annotated tree
    Inspect(inspect::Args),
    /// Measure this machine
    Bench(bench::Args),
    /// Explain an error code, or who may do what
    Explain(explain::Args),
    /// Print shell completions
    Completions(completions::Args),
}

impl Command {
    /// Does what the command line says.
    pub fn run(self) -> Outcome {
        match self {
            Self::Demo(args) => demo::run(args),
            Self::Agent(args) => agent::run(args),
            Self::Owner(args) => owner::run(args),
            Self::App(args) => app::run(args),
            Self::Tam(args) => tam::run(args),
            Self::Domain(args) => domain::run(args),
            Self::Dev(args) => dev::run(args),
            Self::Ta(args) => ta::run(args),
            Self::Manifest(args) => manifest::run(args),
            Self::Panel(args) => panel::run(args),
            Self::Pki(args) => pki::run(args),
            Self::Policy(args) => policy::run(args),
            Self::Reference(args) => reference::run(args),
            Self::Verifier(args) => verifier::run(args),
            Self::Inspect(args) => inspect::run(args),
            Self::Bench(args) => bench::run(args),
            Self::Explain(args) => explain::run(args),
            Self::Completions(args) => completions::run(args),
        }
    }
}
