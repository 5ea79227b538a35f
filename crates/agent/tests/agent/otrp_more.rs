//! Several TAMs on one device. No TAM sees or touches what is another's: every operation of both protocols, tried by each
//! TAM on what each of the others has, provider by provider.

use tamarack_agent::{AnchorState, DEVICE_DOMAIN, Error, Principal, Seed, Status, TaName, TamAnchor};
use tamarack_jose::jwe::Recipient;
use tamarack_jose::jwk::KeyUse;
use tamarack_jose::jws::{Purpose, VerificationKey};
use tamarack_model::{ComponentId, OwnerId, Protocol, codes};
use tamarack_otrp::ErrorCode;
use tamarack_otrp::request::{Changes, Content, CreateSd, DeleteSd, DeleteTa, InstallTa, UpdateSd};
use tamarack_otrp::response::ResponseBody;
use tamarack_otrp::ta_package::{self, EncryptedTa, Protection, TaPackage};
use tamarack_tee::{Param, Params, Persona};
use tamarack_teep::ErrCode;
use tamarack_testkit::otrp_pki::OtrpPki;

use crate::otrp_power::check;
use crate::otrp_world::*;
use crate::world::*;

const TAMS: usize = 3;
/// Providers of each device; all of them work with all TAMs. A hundred in all.
const PROVIDERS: u8 = 10;
const DEVICES: u8 = 10;
/// Commands of OTrP that are tried on another's domain.
const OPERATIONS: usize = 8;
/// One in so many of them is tried by each TAM on each domain of each other.
const SHARE: usize = 4;

fn owner(tam: usize) -> OwnerId {
    OwnerId([tam as u8 + 1; 16])
}

fn uri(tam: usize) -> String {
    format!("https://tam{tam}.example/tam")
}

/// TAMs that speak both protocols with keys of their own for each; the anchors bind the two.
fn tams(pki: &OtrpPki) -> Seed {
    let anchor = |tam: usize| TamAnchor {
        owner: owner(tam),
        principal: Principal::Keys(vec![key(tam as u8 + 1, "tam").public_key()]),
        otrp: Some(principal(&pki.tams[tam])),
        protocol: Protocol::Teep,
        uri: Some(uri(tam)),
        scopes: vec![vec![]],
        require_binding: true,
        domains: u32::from(PROVIDERS) + 1,
        domain_quota: 1 << 16,
        persona: Persona(tam as u32),
        state: AnchorState::Active,
    };
    let tams = (0..pki.tams.len()).map(anchor).collect();
    Seed { tams, signers: Vec::new(), peripherals: Vec::new(), device_authority: None, device_owner: None }
}

fn spid(sp: u8) -> String {
    format!("provider {sp}")
}

/// The domain that this TAM has for this provider.
fn domain(tam: usize, sp: u8) -> String {
    format!("sp{sp}.tam{tam}.example")
}

/// The TA that comes by OTrP, and the one that comes by TEEP.
fn uuid(sp: u8, protocol: Protocol) -> [u8; 16] {
    let mut uuid = [sp + 1; 16];
    uuid[15] = if protocol == Protocol::Otrp { 1 } else { 2 };
    uuid
}

fn taid(sp: u8, protocol: Protocol) -> String {
    let digits: String = uuid(sp, protocol).iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| &digits[from..to];
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

fn ta(tam: usize, sp: u8, protocol: Protocol, kind: &str) -> ComponentId {
    id(&domain(tam, sp), uuid(sp, protocol), kind)
}

/// A TA in the domain of `tam`, signed by `signer`.
fn signed(signer: u8, tam: usize, sp: u8, protocol: Protocol, sequence: u64) -> Vec<u8> {
    let (manifest, component) = (ta(tam, sp, protocol, "suit"), ta(tam, sp, protocol, "ta"));
    envelope(signer, &manifest, &component, sequence, format!("{tam} {sp} {protocol} {sequence}").as_bytes())
}

/// What there is of one Owner, as the person who owns the device sees it.
fn of_owner(status: &Status, tam: usize) -> String {
    let components: Vec<_> = status.components.iter().filter(|one| one.owner == owner(tam)).collect();
    let domains: Vec<_> = status.domains.iter().filter(|one| one.owner == owner(tam)).collect();
    format!("{components:?} {domains:?}")
}

struct Device {
    otrp: Otrp,
    /// The providers whose domains it has.
    providers: Vec<u8>,
}

impl Device {
    /// Every TAM makes a domain for every provider by OTrP and installs a TA in it by each protocol.
    fn new(providers: Vec<u8>) -> Self {
        let pki = OtrpPki::new(&provider(), TAMS);
        let seed = tams(&pki);
        let mut device = Self { otrp: Otrp::with(pki, &seed), providers };
        for tam in 0..TAMS {
            device.speak_as(tam);
            for sp in device.providers.clone() {
                let create = device.create(tam, sp);
                device.otrp.command(create, None).expect_pass();
                let package = device.package(sp, signed(sp, tam, sp, Protocol::Otrp, 1));
                let install = device.install(tam, tam, sp, &taid(sp, Protocol::Otrp));
                device.otrp.command(install, Some(&package)).expect_pass();
            }
            let of_provider = |sp: &u8| signed(*sp, tam, *sp, Protocol::Teep, 1);
            let install = device.providers.iter().map(of_provider).collect();
            device.otrp.exchange(Script { install, ..Script::default() }).expect_success();
        }
        device
    }

    /// From now on this TAM speaks, by either protocol, and knows what it may know.
    fn speak_as(&mut self, tam: usize) {
        self.otrp.tam = tam;
        self.otrp.world.tam = key(tam as u8 + 1, "tam");
        self.otrp.x5c = true;
        self.otrp.state();
        // The rest of the transaction goes without certificates.
        self.otrp.x5c = false;
    }

    fn tamid(&self, tam: usize) -> String {
        self.otrp.pki.tams[tam].name.text().into()
    }

    fn create(&self, tam: usize, sp: u8) -> Content {
        let (tamid, did) = (self.otrp.tamid(), self.otrp.did());
        Content::CreateSd(CreateSd {
            spid: spid(sp),
            sdname: domain(tam, sp),
            spcert: spcert(sp),
            tamid,
            did,
        })
    }

    /// InstallTA or UpdateTA for a TA of `tam`, in the name of `claimed`.
    fn install_content(&self, claimed: usize, tam: usize, sp: u8, taid: &str) -> InstallTa {
        let (tamid, spid, sdname) = (self.tamid(claimed), spid(sp), domain(tam, sp));
        InstallTa { tamid, spid, sdname, spcert: None, taid: taid.into() }
    }

    fn install(&self, claimed: usize, tam: usize, sp: u8, taid: &str) -> Content {
        Content::InstallTa(self.install_content(claimed, tam, sp, taid))
    }

    /// A package to the key that the provider has with the TAM that speaks.
    fn package(&self, sp: u8, envelope: Vec<u8>) -> EncryptedTa {
        sealed(&Recipient::from_jwk(&self.otrp.aik(&spid(sp), KeyUse::Encryption)).unwrap(), envelope)
    }
}

fn sealed(recipient: &Recipient, envelope: Vec<u8>) -> EncryptedTa {
    let package = TaPackage { ta: Some(envelope), pdata: None };
    ta_package::seal(&package, recipient, Protection::A256Gcm, &provider()).unwrap()
}

/// Security rule K1 and points F19, F29: what one TAM asks of another's is refused as if it were not there, and changes
/// nothing. Each provider meets each operation, each pair of TAMs meets each provider and each operation.
#[test]
fn k1_matrix_of_owners_over_both_protocols() {
    let tried: usize = std::thread::scope(|scope| {
        let devices: Vec<_> = (0..DEVICES).map(|device| scope.spawn(move || matrix_on(device))).collect();
        devices.into_iter().map(|device| device.join().unwrap()).sum()
    });
    let pairs = TAMS * (TAMS - 1) * usize::from(DEVICES * PROVIDERS);
    assert_eq!(tried, pairs * (OPERATIONS / SHARE + 2 + 2), "something was not tried");
}

/// The part of the matrix that one device has; gives how many operations were tried.
fn matrix_on(device: u8) -> usize {
    let first = device * PROVIDERS;
    let mut device = Device::new((first..first + PROVIDERS).collect());
    let status = device.otrp.agent.status().unwrap();
    assert_eq!(status.domains.len(), TAMS * usize::from(PROVIDERS));
    assert_eq!(status.components.len(), 2 * TAMS * usize::from(PROVIDERS));
    // The keys to which the other TAMs encrypt for the providers: a thief may know them.
    let mut stolen: Vec<Vec<Recipient>> = Vec::new();
    for tam in 0..TAMS {
        device.speak_as(tam);
        let key = |sp: &u8| Recipient::from_jwk(&device.otrp.aik(&spid(*sp), KeyUse::Encryption)).unwrap();
        stolen.push(device.providers.iter().map(key).collect());
    }
    let mut tried = 0;
    let pairs = (0..TAMS * TAMS).map(|pair| (pair / TAMS, pair % TAMS)).filter(|(one, other)| one != other);
    for (number, (thief, victim)) in pairs.enumerate() {
        device.speak_as(thief);
        sees_its_own_alone(&mut device, thief);
        let before = of_owner(&device.otrp.agent.status().unwrap(), victim);
        for sp in device.providers.clone() {
            let key = &stolen[victim][usize::from(sp - first)];
            tried += otrp_operations(&mut device, number, (thief, victim), sp, key);
        }
        tried += sessions(&mut device, thief, victim);
        tried += teep_operations(&mut device, thief, victim);
        assert_eq!(of_owner(&device.otrp.agent.status().unwrap(), victim), before);
    }
    tried
}

/// GetDeviceState and QueryRequest tell of no other Owner.
fn sees_its_own_alone(device: &mut Device, tam: usize) {
    let tee = device.otrp.dsi.as_ref().unwrap().dsi().tee.clone();
    let suffix = format!(".tam{tam}.example");
    assert_eq!(tee.sdlist.len(), device.providers.len());
    let foreign = tee.sdlist.iter().find(|sd| !sd.name.ends_with(&suffix) || sd.talist.len() != 2);
    assert_eq!(foreign, None, "TAM {tam} is told of it");
    assert_eq!(tee.teeaiklist.len(), 2 * device.providers.len());
    let held = device.otrp.query().tc_list;
    let of_device = |id: &ComponentId| id.domain() == DEVICE_DOMAIN.as_bytes();
    let mine = |id: &ComponentId| id.domain().ends_with(suffix.as_bytes()) || of_device(id);
    assert_eq!(held.iter().find(|entry| !mine(&entry.id)), None, "TAM {tam} is told of it");
    assert_eq!(held.iter().filter(|entry| !of_device(&entry.id)).count(), 4 * device.providers.len());
}

/// Commands of OTrP by the first TAM on what the second has for one provider, each time another share of them; gives how
/// many.
fn otrp_operations(
    device: &mut Device,
    number: usize,
    (thief, victim): (usize, usize),
    sp: u8,
    victims_key: &Recipient,
) -> usize {
    let (own, foreign) = (device.tamid(thief), domain(victim, sp));
    let there = taid(sp, Protocol::Otrp);
    let update = |tamid: &str| {
        let changes = Changes { newsdname: Some("mine now".into()), ..Changes::default() };
        Content::UpdateSd(UpdateSd {
            tamid: tamid.into(),
            spid: Some(spid(sp)),
            sdname: foreign.clone(),
            changes,
        })
    };
    let victims_ta = |protocol, sequence| signed(sp, victim, sp, protocol, sequence);
    let package = device.package(sp, victims_ta(Protocol::Otrp, 2));
    let claimed = device.tamid(victim);
    let delete_sd = DeleteSd { tamid: own.clone(), sdname: foreign.clone(), deleteta: true };
    let delete_ta = DeleteTa { tamid: own.clone(), sdname: foreign.clone(), taid: there.clone() };
    let updated = Content::UpdateTa(device.install_content(thief, victim, sp, &there));
    let own_new = device.install(thief, thief, sp, "a new one");
    let to_victims_key = sealed(victims_key, signed(sp, thief, sp, Protocol::Otrp, 2));
    let own_update = Content::UpdateTa(device.install_content(thief, thief, sp, &there));
    let cases: [(Content, Option<&EncryptedTa>, ErrorCode); OPERATIONS] = [
        (update(&own), None, ErrorCode::SdNotFound),
        // In the name of the other.
        (update(&claimed), None, ErrorCode::TamNotAuthorized),
        (Content::DeleteSd(delete_sd), None, ErrorCode::SdNotFound),
        (device.install(thief, victim, sp, "a new one"), Some(&package), ErrorCode::SdNotFound),
        (updated, Some(&package), ErrorCode::SdNotFound),
        (Content::DeleteTa(delete_ta), None, ErrorCode::SdNotFound),
        // In its own domain: a TA that names the other's, and one that was encrypted for the other.
        (own_new, Some(&package), ErrorCode::TaInvalid),
        (own_update, Some(&to_victims_key), ErrorCode::TaInvalid),
    ];
    let share = |case: usize| (case + number + usize::from(sp)).is_multiple_of(SHARE);
    let mut count = 0;
    for (_, (content, package, error)) in cases.into_iter().enumerate().filter(|(case, _)| share(*case)) {
        device.otrp.refused(content, package, error);
        count += 1;
    }
    count
}

/// An application of `thief` cannot have a TA of `victim`, nor be told of it.
fn sessions(device: &mut Device, thief: usize, victim: usize) -> usize {
    let (now, bound) = (device.otrp.now, uri(thief));
    for sp in &device.providers {
        let name = TaName::Component(ta(victim, *sp, Protocol::Otrp, "ta"));
        let opened = device.otrp.world.agent.open_session(now, &name, Some(&bound), &mut Params::new());
        assert_eq!(opened.err(), Some(Error::NoTa));
        let query = format!(r#"{{"TAQuery":{{"spid":"{}","taid":"nothing of the thief's"}}}}"#, spid(*sp));
        let told = device.otrp.agent.ta_information(query.as_bytes(), Some(&bound));
        assert_eq!(told.err(), Some(Error::NoTa));
    }
    2 * device.providers.len()
}

/// Updates of TEEP by `thief` on what `victim` has.
fn teep_operations(device: &mut Device, thief: usize, victim: usize) -> usize {
    let providers = device.providers.clone();
    let otrp = &mut device.otrp;
    let before = otrp.digest();
    let remove = providers.iter().map(|sp| ta(victim, *sp, Protocol::Otrp, "suit")).collect();
    otrp.exchange(Script { remove, ..Script::default() });
    assert_eq!(otrp.digest(), before, "{thief} removed what {victim} has");
    for sp in &providers {
        // Signed by who may sign in the victim's domain, but for the victim alone (security rule K7).
        let script = Script::install(signed(*sp, victim, *sp, Protocol::Teep, 2));
        otrp.world.refused(script, ErrCode::ManifestProcessingFailed, codes::SUIT_UNAUTHORISED);
    }
    2 * providers.len()
}

/// The same name is another domain under another Owner: its keys, its TAs and its end are its own.
#[test]
fn k1_one_name_under_two_owners_is_two_domains() {
    let pki = OtrpPki::new(&provider(), 2);
    let seed = tams(&pki);
    let mut otrp = Otrp::with(pki, &seed);
    let mut keys = Vec::new();
    for tam in [0, 1] {
        otrp.tam = tam;
        otrp.state();
        otrp.create_sd(SD, SP).expect_pass();
        otrp.install_ta(wallet_envelope(1)).expect_pass();
        keys.push(otrp.aik(SP, KeyUse::Encryption));
    }
    assert_ne!(keys[0], keys[1], "a provider has a key of its own with each TAM (A-09)");
    let count = |otrp: &mut Otrp, tam: usize| {
        let (now, name) = (otrp.now, TaName::Uuid(WALLET));
        let session = otrp.agent.open_session(now, &name, Some(&uri(tam)), &mut Params::new())?;
        let mut params = vec![Param::ValueOutput(0, 0)];
        otrp.agent.invoke(now, session, COUNT, &mut params)?;
        otrp.agent.close_session(now, session).map(|()| params)
    };
    assert_eq!(count(&mut otrp, 0), Ok(vec![Param::ValueOutput(1, 0)]));
    assert_eq!(count(&mut otrp, 0), Ok(vec![Param::ValueOutput(2, 0)]));
    assert_eq!(count(&mut otrp, 1), Ok(vec![Param::ValueOutput(1, 0)]), "each has storage of its own");

    let left = of_owner(&otrp.agent.status().unwrap(), 0);
    otrp.delete_sd(SD, true).expect_pass();
    assert_eq!(of_owner(&otrp.agent.status().unwrap(), 0), left);
    assert_eq!(count(&mut otrp, 0), Ok(vec![Param::ValueOutput(3, 0)]));
    assert_eq!(count(&mut otrp, 1), Err(Error::NoTa));
    otrp.tam = 0;
    otrp.state();
    assert_eq!(otrp.aik(SP, KeyUse::Encryption), keys[0], "the other's end renewed nothing");
}

#[test]
fn power_cut_during_update_sd() {
    let update = |otrp: &mut Otrp| {
        let common = otrp.common();
        let changes = Changes {
            newsdname: Some("another name".into()),
            spcert: vec![spcert(2)],
            renewteespaik: true,
            ..Changes::default()
        };
        otrp.seal(&common, &otrp.update_of(changes), None)
    };
    check(|| Otrp::with_wallet(1), update, None);
}

#[test]
fn power_cut_during_update_ta() {
    let update = |otrp: &mut Otrp| {
        let package = otrp.package(Some(wallet_envelope(2)), Some(b"data"));
        let common = otrp.common();
        otrp.seal(&common, &Content::UpdateTa(otrp.wallet_of()), Some(&package))
    };
    check(|| Otrp::with_wallet(1), update, None);
}

#[test]
fn power_cut_during_delete_ta() {
    let delete = |otrp: &mut Otrp| {
        let common = otrp.common();
        otrp.seal(&common, &otrp.delete_wallet(), None)
    };
    check(|| Otrp::with_wallet(1), delete, None);
}

/// A TAM may have more providers on a device than any other array of a message may have elements (F19).
#[test]
fn a_state_tells_of_forty_providers() {
    let pki = OtrpPki::new(&provider(), 1);
    let mut seed = tams(&pki);
    seed.tams[0].domains = 40;
    let mut device = Device { otrp: Otrp::with(pki, &seed), providers: (0..40).collect() };
    device.otrp.state();
    for sp in device.providers.clone() {
        let create = device.create(0, sp);
        device.otrp.command(create, None).expect_pass();
    }
    let dsi = device.otrp.state();
    assert_eq!((dsi.tee.sdlist.len(), dsi.tee.teeaiklist.len()), (40, 80));
}

/// Section 9.1.2, step 3: the TEE does not pass on what another firmware than its own may have signed (A-18).
#[test]
fn firmware_that_is_not_the_devices_is_not_vouched_for() {
    let mut otrp = Otrp::new();
    let device = otrp.world.otrp.as_mut().unwrap();
    device.personas[0].firmware_chain = otrp.pki.device(&provider(), 2).personas[0].firmware_chain.clone();
    otrp.restart();
    let request = otrp.state_request();
    let message = otrp.sign_state(&request);
    let before = otrp.digest();
    let reply = otrp.send_otrp(message.clone());
    let part = otrp.read_part(&reply.bytes);
    let ResponseBody::Failed { reason, .. } = part.body_unverified() else { panic!("a DSI") };
    assert_eq!(reason.code, ErrorCode::TfwNotTrusted);
    let tee = otrp.tee_public_key();
    part.verify(&VerificationKey::of(&tee, Purpose::OtrpResponse).unwrap(), &provider()).unwrap();
    assert_eq!(otrp.digest(), before);

    // Without any firmware certificate it is for the TAM to decide.
    otrp.world.otrp.as_mut().unwrap().personas[0].firmware_chain.clear();
    otrp.restart();
    assert_eq!(otrp.state().tfwdata, None);
}

/// A device that cannot write says so, signed, and did nothing (ERR_TEE_FAIL).
#[test]
fn a_device_that_cannot_write_fails_and_changes_nothing() {
    let mut otrp = Otrp::new();
    otrp.state();
    otrp.storage().cut_power_after(0);
    let create = Content::CreateSd(otrp.create(SD, SP));
    otrp.refused(create.clone(), None, ErrorCode::TeeFail);
    otrp.storage().restore_power();
    otrp.state();
    otrp.command(create, None).expect_pass();
}
