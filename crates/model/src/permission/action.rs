use super::{Place, Role};
use Role::{App, Auditor, Broker, Developer, DeviceOwner, Maker, Operator, Provider, TeeCa, User, Verifier};

/// One row of the matrix.
pub(super) struct Row {
    pub id: &'static str,
    pub what: &'static str,
    pub place: Place,
    pub allowed: &'static [Role],
    pub own: &'static [Role],
    pub check: &'static str,
}

/// Everybody, with a key and token or without.
const EVERYBODY: &[Role] = &Role::ALL;
/// What is decided by the dispatcher, which looks here.
pub(super) const TABLE: &str = "by this table";

macro_rules! actions {
    ($($name:ident = $id:literal, $place:ident, $allowed:expr, own $own:expr, $what:literal, $check:expr;)*) => {
        /// Everything that can be asked of a part of the system.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $(#[doc = $what] $name,)*
        }

        impl Action {
            /// All of them, in the order of the matrix.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub(super) fn row(self) -> &'static Row {
                match self {
                    $(Self::$name => const {
                        &Row { id: $id, what: $what, place: Place::$place, allowed: $allowed, own: $own, check: $check }
                    },)*
                }
            }
        }
    };
}

impl Action {
    /// Its name; for a change over REST it is what the audit log calls it.
    pub fn id(self) -> &'static str {
        self.row().id
    }

    /// What is done.
    pub fn what(self) -> &'static str {
        self.row().what
    }

    /// Where it is asked for.
    pub fn place(self) -> Place {
        self.row().place
    }

    /// What decides, where that is not the dispatcher.
    pub fn check(self) -> &'static str {
        self.row().check
    }
}

// The matrix. Who is not named is denied.
actions! {
    // The REST interface.
    ProviderList = "provider.list", Rest, &[Operator, Auditor], own &[Provider], "list providers", TABLE;
    ProviderRegister = "provider.register", Rest, &[Operator], own &[], "register a provider and its signers", TABLE;
    ProviderShow = "provider.show", Rest, &[Operator, Auditor], own &[Provider], "see a provider", TABLE;
    ProviderReplace = "provider.replace", Rest, &[Operator], own &[], "change, enable or disable a provider", TABLE;
    ComponentList = "component.list", Rest, &[Operator, Auditor], own &[Provider], "list the catalogue", TABLE;
    ComponentPublish = "component.publish", Rest, &[Operator], own &[Provider], "publish a signed TA", TABLE;
    ComponentShow = "component.show", Rest, &[Operator, Auditor], own &[Provider], "see a published TA", TABLE;
    ComponentWithdraw = "component.withdraw", Rest, &[Operator], own &[Provider], "withdraw a published TA", TABLE;
    DomainList = "domain.list", Rest, &[Operator, Auditor], own &[Provider], "list domains", TABLE;
    DomainCreate = "domain.create", Rest, &[Operator], own &[], "create a domain", TABLE;
    DomainShow = "domain.show", Rest, &[Operator, Auditor], own &[Provider], "see a domain", TABLE;
    DomainDelete = "domain.delete", Rest, &[Operator], own &[], "delete a domain with all that is in it, on every device", TABLE;
    DomainAllow = "domain.allow", Rest, &[Operator], own &[], "let a provider publish into another's domain", TABLE;
    DomainDisallow = "domain.disallow", Rest, &[Operator], own &[], "end that", TABLE;
    ArtifactUpload = "artifact.upload", Rest, &[Operator, Provider], own &[], "upload a payload", TABLE;
    PolicyList = "policy.list", Rest, &[Operator, Auditor], own &[], "list what every device should hold", TABLE;
    PolicySet = "policy.set", Rest, &[Operator], own &[], "want a TA on every device", TABLE;
    PolicyClear = "policy.clear", Rest, &[Operator], own &[], "stop wanting it", TABLE;
    ReferenceList = "reference.list", Rest, &[Operator, Auditor], own &[], "list reference values", TABLE;
    ReferenceAdd = "reference.add", Rest, &[Operator], own &[], "add signed reference values", TABLE;
    ReferenceShow = "reference.show", Rest, &[Operator, Auditor], own &[], "see reference values", TABLE;
    ReferenceDeactivate = "reference.deactivate", Rest, &[Operator], own &[], "take reference values out of force", TABLE;
    ReferenceProviderList = "reference-provider.list", Rest, &[Operator, Auditor], own &[], "list who may give reference values", TABLE;
    ReferenceProviderSet = "reference-provider.set", Rest, &[Operator], own &[], "let somebody give reference values to the tenant", TABLE;
    ReferenceProviderRemove = "reference-provider.remove", Rest, &[Operator], own &[], "end that", TABLE;
    ReleasePolicyShow = "release-policy.show", Rest, &[Operator, Auditor], own &[], "see the release policy", TABLE;
    ReleasePolicySet = "release-policy.set", Rest, &[Operator], own &[], "set the release policy", TABLE;
    ReleasePolicyList = "release-policy.list", Rest, &[Operator, Auditor], own &[], "list the versions of the release policy", TABLE;
    ReleaseAsk = "release.ask", Rest, &[Operator, Auditor], own &[], "ask what a release policy would do", TABLE;
    EvidenceShow = "evidence.show", Rest, &[Operator, Auditor], own &[], "see the last Evidence of a device", TABLE;
    DeviceList = "device.list", Rest, &[Operator, Auditor], own &[], "list devices", TABLE;
    DeviceShow = "device.show", Rest, &[Operator, Auditor], own &[], "see a device", TABLE;
    DeviceRelease = "device.release", Rest, &[Operator], own &[], "end a device's quarantine", TABLE;
    PersonalizationList = "personalization.list", Rest, &[Operator, Auditor], own &[], "list what a device is given for single TAs", TABLE;
    PersonalizationSet = "device.personalize", Rest, &[Operator], own &[], "give a device data for a TA, over OTrP", TABLE;
    DecryptionKeyShow = "device.decryption-key", Rest, &[Operator, Provider, Auditor], own &[], "see the key that a device decrypts with, and the Evidence that shows it", TABLE;
    PersonalizationSeal = "device.seal", Rest, &[Operator], own &[Provider], "give a device data for a TA that nobody on the way can read, over TEEP", TABLE;
    SessionList = "session.list", Rest, &[Operator, Auditor], own &[], "list exchanges with devices", TABLE;
    SessionShow = "session.show", Rest, &[Operator, Auditor], own &[], "see an exchange", TABLE;
    AuditList = "audit.list", Rest, &[Operator, Auditor], own &[], "read the audit log", TABLE;
    TokenList = "token.list", Rest, &[Operator], own &[], "list API tokens", TABLE;
    TokenCreate = "token.create", Rest, &[Operator], own &[], "make an API token", TABLE;
    TokenRevoke = "token.revoke", Rest, &[Operator], own &[], "revoke an API token", TABLE;
    RegistryDigest = "registry.digest", Rest, &[Operator], own &[], "take the digest of all that the TAM decides by", TABLE;

    // The TAM's other endpoints.
    TamAsk = "tam.ask", Endpoint, EVERYBODY, own &[], "ask the TAM for its signed question (an empty POST)", "`tam-server/http/exchange.rs`: open; nothing is stored (rule C1)";
    ArtifactFetch = "artifact.fetch", Endpoint, EVERYBODY, own &[], "fetch a payload by its digest", "`tam-server/http/artifacts.rs`: open to who knows the digest; the manifest protects it";
    HealthRead = "health.read", Endpoint, EVERYBODY, own &[], "ask whether the TAM lives and is ready", "`tam-server/http/health.rs`: open";
    MetricsRead = "metrics.read", Endpoint, EVERYBODY, own &[], "read the TAM's counters, on its own machine", "`tam-server/http/health.rs`: loopback, or any valid token";

    // The socket of normal apps, and the channel to the TEE.
    TaRequest = "ta.request", Socket, &[App, Broker], own &[], "say that a TA is needed", TABLE;
    TaUnrequest = "ta.unrequest", Socket, &[App, Broker], own &[], "say that a TA is not needed any more", TABLE;
    TaAnnounce = "ta.announce", Socket, &[App], own &[], "say that a TA is needed, and carry the messages oneself", TABLE;
    PolicyCheck = "policy.check", Socket, &[App, Broker], own &[], "have the TAMs asked for changes", TABLE;
    SessionOpen = "session.open", Socket, &[App, Broker], own &[], "open a session with a TA", TABLE;
    SessionInvoke = "session.invoke", Socket, &[Broker], own &[App], "invoke a command of a TA in a session", TABLE;
    SessionClose = "session.close", Socket, &[Broker], own &[App], "close a session", TABLE;
    StatusRead = "status.read", Socket, &[App, Broker, Maker], own &[], "ask the device how it is", TABLE;
    OtrpInformation = "otrp.information", Socket, &[App, Broker], own &[], "ask what is known of an installed TA (GetTAInformation)", TABLE;
    OtrpCarry = "otrp.carry", Socket, &[App, Broker], own &[], "carry a TAM's OTrP message to the TEE", TABLE;
    BundleOffer = "bundle.offer", Socket, &[App], own &[], "bring the content of a TA along, for a TAM to grant", TABLE;
    OwnerAsk = "owner.ask", Socket, &[App, Broker], own &[], "have the TEE's question that an owner's order answers", TABLE;
    OwnerCarry = "owner.carry", Socket, &[App, Broker], own &[], "carry a signed order of the device's owner to the TEE", TABLE;
    OrderCarry = "order.carry", Socket, &[App, Broker], own &[], "carry a signed order of the device authority to the TEE", TABLE;
    TeepCarry = "teep.carry", Socket, &[Broker], own &[], "carry a TAM's TEEP message to the TEE", TABLE;
    ExchangeFail = "exchange.fail", Socket, &[Broker], own &[], "report that an exchange failed", TABLE;
    PayloadCarry = "payload.carry", Socket, &[Broker], own &[], "carry a piece of a payload to the TEE", TABLE;
    PayloadFail = "payload.fail", Socket, &[Broker], own &[], "report that a payload cannot be had", TABLE;
    DeviceMake = "device.make", Socket, &[Maker], own &[], "make a device's keys and have their certificate requests", TABLE;
    DeviceEnrol = "device.enrol", Socket, &[Maker], own &[], "seal a device's certificates and trust anchors, once", TABLE;
    ActuatorCommand = "actuator.command", Socket, &[], own &[], "command a peripheral past the TA that it is bound to", "`channel`: there is no such operation; only the bound TA reaches it (`agent/ta/objects.rs`)";

    // Signed objects that the Agent judges.
    DeviceQuery = "device.query", Device, &[Operator], own &[], "have Evidence and the list of what is installed", "`agent/teep`: a TAM anchor vouches for the key, purpose TEEP message (rules E5, K5)";
    DeviceInstall = "device.install", Device, &[Operator], own &[], "have a device install a developer's TA", "`agent/teep/validate.rs`: a TAM anchor vouches for the Update, purpose TEEP message";
    DeviceDelete = "device.delete", Device, &[Operator], own &[], "have a device delete a TA with its data", "`agent/teep/validate.rs`: a TAM anchor vouches for the Update; bound to the exchange (rule R4)";
    DomainMake = "device.domain", Device, &[Operator], own &[], "make a Security Domain on a device (OTrP)", "`agent/otrp`: a TAM anchor with domains vouches for the key, purpose OTrP message";
    ManifestSign = "manifest.sign", Device, &[Developer], own &[], "sign a manifest that a device installs and runs", "`agent/authority.rs`: a signer anchor covers key and prefixes, purpose SUIT manifest (rule K7)";
    AnchorChange = "anchor.change", Device, &[Maker], own &[], "activate, restrict, revoke or re-key a TAM's or a signer's anchor", "`agent/trust/mod.rs`: the device authority's key, purpose device authority (rule R8)";
    OwnerOrder = "owner.order", Device, &[DeviceOwner], own &[], "allow and deny TAMs, providers and TAs, want consent, approve, give the ownership on", "`agent/owner/order.rs`: the owner's key, purpose device owner; answers this device's question once";

    // Signed objects that the TAM judges.
    EvidenceSign = "evidence.sign", Tam, &[], own &[], "sign Evidence of a device", "`attest`: a TEE CA vouches for the attestation key, which only the TEE has";
    DeviceCertify = "device.certify", Tam, &[TeeCa], own &[], "certify a device's attestation key", "`attest`: the chain ends at a TEE CA that the TAM lists (rules E1, K4)";
    ReferenceSign = "reference.sign", Tam, &[Maker], own &[], "sign reference values for devices", "`attest/reference`: the key of a configured provider, within its scope";
    ResultSign = "result.sign", Tam, &[Verifier], own &[], "sign an Attestation Result about a device", "`attest/result`: the key of a verifier that is listed, within its makers and models (rule E3)";

    // The verifier.
    VerifierAsk = "verifier.ask", Verifier, EVERYBODY, own &[], "have a nonce for Evidence, and the verifier's public key", "`verifier/http.rs`: open";
    VerifierAppraise = "verifier.appraise", Verifier, EVERYBODY, own &[], "have Evidence appraised", "`verifier/http.rs`: open; a result names nonce and key, and is worth nothing to others";
    VerifierReferenceList = "verifier.references.list", Verifier, &[Role::Verifier], own &[], "list the verifier's reference values", TABLE;
    VerifierReferenceAdd = "verifier.references.add", Verifier, &[Role::Verifier], own &[], "give the verifier signed reference values", TABLE;
    VerifierReferenceDeactivate = "verifier.references.deactivate", Verifier, &[Role::Verifier], own &[], "take its reference values out of force", TABLE;

    // The device's own panel.
    PanelConfirm = "panel.confirm", Panel, &[User], own &[], "confirm or refuse at the device's own panel what a TA asks", TABLE;
}
