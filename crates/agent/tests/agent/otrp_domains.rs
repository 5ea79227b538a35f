//! Security Domains, their signers and quotas, and the keys of their providers.

use tamarack_agent::{AgentConfig, AnchorChange, AnchorOrder, AnchorState, Error, Subject};
use tamarack_cbor::Encode;
use tamarack_cose::{Sign1, SignOptions};
use tamarack_jose::jwk::{Jwk, KeyUse};
use tamarack_model::codes;
use tamarack_otrp::ErrorCode;
use tamarack_otrp::request::{Changes, Content, CreateSd, InstallTa};
use tamarack_testkit::otrp_pki::OtrpPki;

use crate::otrp_world::*;
use crate::world::*;

fn keys(otrp: &Otrp) -> [Jwk; 2] {
    [otrp.aik(SP, KeyUse::Signature), otrp.aik(SP, KeyUse::Encryption)]
}

fn renew() -> Changes {
    Changes { renewteespaik: true, ..Changes::default() }
}

#[test]
fn k6_the_keys_of_a_provider_live_as_long_as_its_domains() {
    let mut otrp = Otrp::with_domain();
    let first = keys(&otrp);
    assert_ne!(first[0], first[1]);
    otrp.create_sd("second", SP).expect_pass();
    assert_eq!(keys(&otrp), first, "one pair for all domains of the provider");
    otrp.create_sd("third", "globex").expect_pass();
    assert_ne!(otrp.aik("globex", KeyUse::Encryption), first[1]);
    otrp.restart();
    otrp.state();
    assert_eq!(keys(&otrp), first);
    otrp.delete_sd(SD, false).expect_pass();
    assert_eq!(keys(&otrp), first);
    otrp.delete_sd("second", false).expect_pass();
    assert!(otrp.dsi.as_ref().unwrap().dsi().tee.teeaiklist.iter().all(|aik| aik.spid == "globex"));
    otrp.create_sd(SD, SP).expect_pass();
    assert!(keys(&otrp).iter().all(|key| !first.contains(key)), "new ones");
    let before = keys(&otrp);
    otrp.update_sd(renew()).expect_pass();
    assert!(keys(&otrp).iter().all(|key| !before.contains(key)));
}

#[test]
fn a_renewed_key_opens_nothing_that_was_encrypted_before() {
    let mut otrp = Otrp::with_domain();
    let package = otrp.package(Some(wallet_envelope(1)), None);
    otrp.update_sd(renew()).expect_pass();
    let content = Content::InstallTa(otrp.wallet_of());
    otrp.refused(content, Some(&package), ErrorCode::TaInvalid);
    otrp.install_ta(wallet_envelope(1)).expect_pass();
}

#[test]
fn a_renamed_domain_keeps_what_is_in_it() {
    let mut otrp = Otrp::with_wallet(1);
    otrp.count();
    otrp.update_sd(Changes { newsdname: Some("renamed".into()), ..Changes::default() }).expect_pass();
    assert_eq!(otrp.count(), 2);
    let content = InstallTa { sdname: "renamed".into(), ..otrp.wallet_of() };
    let package = otrp.package(Some(wallet_envelope(2)), None);
    otrp.command(Content::UpdateTa(content), Some(&package)).expect_pass();
    let old = Content::UpdateTa(otrp.wallet_of());
    let package = otrp.package(Some(wallet_envelope(3)), None);
    otrp.refused(old, Some(&package), ErrorCode::SdNotFound);
    // Its ids are not free for another one.
    let again = Content::CreateSd(otrp.create(SD, SP));
    otrp.refused(again, None, ErrorCode::SdAlreadyExists);
    assert_eq!(otrp.count(), 3);
    otrp.delete_sd("renamed", true).expect_pass();
    otrp.create_sd(SD, SP).expect_pass();
}

#[test]
fn a_signer_comes_and_goes() {
    let mut otrp = Otrp::with_wallet(1);
    let by_second = |sequence| envelope(2, &wallet("suit"), &wallet("ta"), sequence, b"wallet");
    let update = |otrp: &mut Otrp, envelope| {
        let package = otrp.package(Some(envelope), None);
        let content = Content::UpdateTa(otrp.wallet_of());
        let answer = otrp.command(content, Some(&package));
        answer.content.unwrap().reason.map(|reason| reason.code)
    };
    assert_eq!(update(&mut otrp, by_second(2)), Some(ErrorCode::TaInvalid));
    otrp.update_sd(Changes { spcert: vec![spcert(2)], ..Changes::default() }).expect_pass();
    assert_eq!(update(&mut otrp, by_second(2)), None);
    assert_eq!(update(&mut otrp, wallet_envelope(3)), None);
    // A signer that is removed signs nothing more; what it signed runs on.
    let digest = provider().sha256(&spcert(1));
    otrp.update_sd(Changes { deloldspcert: vec![digest], ..Changes::default() }).expect_pass();
    otrp.restart();
    otrp.state();
    assert_eq!(otrp.dsi.as_ref().unwrap().dsi().tee.sdlist[0].spcert, [provider().sha256(&spcert(2))]);
    assert_eq!(otrp.count(), 1);
    assert_eq!(update(&mut otrp, wallet_envelope(4)), Some(ErrorCode::TaInvalid));
    let gone = otrp.update_of(Changes { deloldspcert: vec![digest], ..Changes::default() });
    otrp.refused(gone, None, ErrorCode::SpcertInvalid);
    assert_eq!(update(&mut otrp, by_second(5)), None);
    assert_eq!(otrp.count(), 2);
    // With the last of what it signed it is forgotten.
    otrp.update_sd(Changes::default()).expect_pass();
    assert!(!otrp.storage().pairs().iter().any(|(_, value)| value.windows(32).any(|w| w == digest)));
}

#[test]
fn an_install_may_bring_its_signer() {
    let mut otrp = Otrp::with_domain();
    let foreign = || envelope(2, &wallet("suit"), &wallet("ta"), 1, b"guest");
    let package = otrp.package(Some(foreign()), None);
    let without = Content::InstallTa(otrp.wallet_of());
    otrp.refused(without, Some(&package), ErrorCode::TaInvalid);
    let content = InstallTa { spcert: Some(spcert(2)), ..otrp.wallet_of() };
    // With a certificate that did not sign it, neither of the two comes in.
    let wrong = InstallTa { spcert: Some(spcert(3)), ..otrp.wallet_of() };
    otrp.refused(Content::InstallTa(wrong), Some(&package), ErrorCode::TaInvalid);
    otrp.command(Content::InstallTa(content), Some(&package)).expect_pass();
    assert_eq!(otrp.dsi.as_ref().unwrap().dsi().tee.sdlist[0].spcert.len(), 2);
    assert_eq!(otrp.count(), 1);
}

#[test]
fn k7_a_domains_signer_is_for_its_domain_and_its_owner() {
    let mut otrp = Otrp::with_domain();
    let create = CreateSd { spcert: spcert(2), ..otrp.create("com.globex", "globex") };
    otrp.command(Content::CreateSd(create), None).expect_pass();
    // Signer 2 may sign for com.globex, not here.
    let package = otrp.package(Some(envelope(2, &wallet("suit"), &wallet("ta"), 1, b"x")), None);
    let content = Content::InstallTa(otrp.wallet_of());
    otrp.refused(content, Some(&package), ErrorCode::TaInvalid);
    // Nor does the first Owner's signer sign for another, also in TEEP.
    let failed = tamarack_teep::ErrCode::ManifestProcessingFailed;
    otrp.world.tam = key(2, "tam");
    otrp.world.refused(Script::install(wallet_envelope(1)), failed, codes::SUIT_UNAUTHENTICATED);
    // For its own Owner it does.
    otrp.world.tam = key(1, "tam");
    otrp.install_wallet(1);
}

#[test]
fn k7_the_quota_of_a_domain_holds_for_both_protocols() {
    let pki = OtrpPki::new(&provider(), 2);
    let mut seed = otrp_seed(&pki);
    seed.signers = crate::world::seed().signers;
    seed.tams[0].domain_quota = 100;
    let mut otrp = Otrp::with(pki, &seed);
    otrp.state();
    otrp.create_sd(SD, SP).expect_pass();
    let sized = |uuid, sequence, size: usize| {
        envelope(1, &id(SD, uuid, "suit"), &id(SD, uuid, "ta"), sequence, &vec![1; size])
    };
    let failed = tamarack_teep::ErrCode::ManifestProcessingFailed;
    otrp.world.refused(Script::install(sized([9; 16], 1, 101)), failed, codes::SUIT_LIMIT);
    otrp.exchange(Script::install(sized([9; 16], 1, 60))).expect_success();
    otrp.state();
    let package = otrp.package(Some(sized(WALLET, 1, 41)), None);
    let content = Content::InstallTa(otrp.wallet_of());
    otrp.refused(content, Some(&package), ErrorCode::TeeResourceFull);
    otrp.install_ta(sized(WALLET, 1, 40)).expect_pass();
    otrp.update_ta(Some(sized(WALLET, 2, 40)), None).expect_pass();
    let status = otrp.agent.status().unwrap();
    let [domain] = &status.domains[..] else { panic!("{status:?}") };
    assert_eq!((domain.used, domain.quota, domain.manifests), (100, Some(100), 2));
    assert_eq!((domain.name.as_str(), domain.provider.as_str(), domain.owner), (SD, SP, OWNER));
}

#[test]
fn what_teep_installed_implies_a_domain() {
    let pki = OtrpPki::new(&provider(), 2);
    let mut seed = otrp_seed(&pki);
    seed.signers = crate::world::seed().signers;
    let mut otrp = Otrp::with(pki, &seed);
    otrp.install_wallet(1);
    let dsi = otrp.state();
    let [sd] = &dsi.tee.sdlist[..] else { panic!("{dsi:?}") };
    assert_eq!((sd.name.as_str(), sd.spid.as_str(), sd.talist.len()), (SD, SP, 1));
    assert!(sd.spcert.is_empty() && dsi.tee.teeaiklist.is_empty());
    // Another provider cannot take it over; its own makes it explicit, with all that is in it.
    let other = Content::CreateSd(otrp.create(SD, "globex"));
    otrp.refused(other, None, ErrorCode::SdAlreadyExists);
    let dsi = otrp.create_sd(SD, SP).expect_pass().content.unwrap().dsi.unwrap().into_dsi();
    assert_eq!((dsi.tee.sdlist.len(), dsi.tee.sdlist[0].talist.len()), (1, 1));
    otrp.update_ta(Some(wallet_envelope(2)), None).expect_pass();
    assert_eq!(otrp.count(), 1);
    otrp.delete_sd(SD, true).expect_pass();

    // Deleted without ever being explicit.
    otrp.install_wallet(3);
    otrp.state();
    otrp.delete_sd(SD, true).expect_pass();
    assert!(otrp.dsi.as_ref().unwrap().dsi().tee.sdlist.is_empty());
}

#[test]
fn k1_a_ta_changes_its_provider_in_no_protocol() {
    let pki = OtrpPki::new(&provider(), 2);
    let mut seed = otrp_seed(&pki);
    seed.signers = crate::world::seed().signers;
    seed.signers[1].prefixes = vec![vec![b"com.acme".to_vec()]];
    let mut otrp = Otrp::with(pki, &seed);
    otrp.install_wallet(1);
    let failed = tamarack_teep::ErrCode::ManifestProcessingFailed;
    let by_globex = envelope(2, &wallet("suit"), &wallet("ta"), 2, b"x");
    otrp.world.refused(Script::install(by_globex), failed, codes::SUIT_NOT_OWNER);
}

#[test]
fn a_domain_goes_to_another_provider_only_where_that_is_allowed_and_empty() {
    let mut otrp = Otrp::with_wallet(1);
    otrp.restart_with(AgentConfig { new_provider: true, ..AgentConfig::default() });
    otrp.state();
    let changes =
        || Changes { newspid: Some("globex".into()), spcert: vec![spcert(2)], ..Changes::default() };
    let content = otrp.update_of(changes());
    otrp.refused(content, None, ErrorCode::SdNotEmpty);
    otrp.delete_ta().expect_pass();
    let dsi = otrp.update_sd(changes()).expect_pass().content.unwrap().dsi.unwrap().into_dsi();
    let sd = &dsi.tee.sdlist[0];
    assert_eq!((sd.spid.as_str(), &sd.spcert[..]), ("globex", &[provider().sha256(&spcert(2))][..]));
    assert!(dsi.tee.teeaiklist.iter().all(|aik| aik.spid == "globex"), "the old key has no domain left");
}

#[test]
fn r8_the_device_authority_stands_above_what_a_tam_introduces() {
    let pki = OtrpPki::new(&provider(), 2);
    let mut seed = otrp_seed(&pki);
    // acme is known to the device, by another key than the TAM's certificate has.
    seed.signers = vec![signer_anchor(SP, &*key(9, "signer"), "com.acme")];
    let mut otrp = Otrp::with(pki, &seed);
    otrp.state();
    otrp.create_sd(SD, SP).expect_pass();
    otrp.install_ta(wallet_envelope(1)).expect_pass();
    let order = |sequence, change| {
        let order = AnchorOrder { sequence, subject: Subject::Provider(SP.into()), change };
        Sign1::sign(&*key(1, "authority"), &order.to_cbor(), &[], &SignOptions::default()).unwrap()
    };
    otrp.agent.change_anchor(&order(2, AnchorChange::State(AnchorState::LoadOnly))).unwrap();
    assert_eq!(otrp.count(), 1);
    let update = |otrp: &mut Otrp, sequence| {
        otrp.state();
        let package = otrp.package(Some(wallet_envelope(sequence)), None);
        let content = Content::UpdateTa(otrp.wallet_of());
        otrp.refused(content, Some(&package), ErrorCode::TaInvalid);
    };
    update(&mut otrp, 2);
    otrp.agent.change_anchor(&order(3, AnchorChange::State(AnchorState::Revoked))).unwrap();
    assert!(matches!(otrp.call(COUNT, &mut vec![]), Err(Error::Unauthorised(_))));
    let content = otrp.update_of(Changes { spcert: vec![spcert(2)], ..Changes::default() });
    otrp.state();
    otrp.refused(content, None, ErrorCode::SpcertInvalid);
    // With new keys for acme a new epoch begins: signers of the old one are void until the TAM brings them again.
    otrp.agent.change_anchor(&order(4, AnchorChange::State(AnchorState::Active))).unwrap();
    otrp.agent.change_anchor(&order(5, AnchorChange::Keys(vec![key(8, "signer").public_key()]))).unwrap();
    update(&mut otrp, 2);
    otrp.update_sd(Changes { spcert: vec![spcert(1)], ..Changes::default() }).expect_pass();
    otrp.update_ta(Some(wallet_envelope(2)), None).expect_pass();
    assert_eq!(otrp.count(), 2);
    // What it holds can be deleted, whoever's signer is left.
    otrp.delete_sd(SD, true).expect_pass();
}

#[test]
fn a_signer_that_certifies_itself_does_so_with_its_key() {
    let ca = tamarack_pki::Authority::create(
        tamarack_x509::Role::Developer,
        "SP",
        tamarack_crypto::KeyType::P256,
        tamarack_pki::Validity::days(NOW - 60, 30),
    );
    let good = ca.unwrap().cert_der().to_vec();
    let mut altered = good.clone();
    let end = altered.len() - 1;
    altered[end] ^= 1;
    let mut otrp = Otrp::new();
    otrp.state();
    let create = |spcert: &[u8], otrp: &Otrp| {
        Content::CreateSd(CreateSd { spcert: spcert.to_vec(), ..otrp.create(SD, SP) })
    };
    let content = create(&altered, &otrp);
    otrp.refused(content, None, ErrorCode::SpcertInvalid);
    let content = create(&good, &otrp);
    otrp.command(content, None).expect_pass();
}

#[test]
fn a_hundred_domains_are_told() {
    let pki = OtrpPki::new(&provider(), 2);
    let mut seed = otrp_seed(&pki);
    seed.signers = vec![signer_anchor(SP, &*key(1, "signer"), "unused")];
    seed.signers[0].prefixes = vec![vec![]];
    let mut otrp = Otrp::with(pki, &seed);
    let manifest = |number: u32| {
        let domain = format!("domain {number}");
        envelope(1, &id(&domain, WALLET, "suit"), &id(&domain, WALLET, "ta"), 1, b"x")
    };
    for from in [0, 25, 50, 75] {
        let install = (from..from + 25).map(manifest).collect();
        otrp.exchange(Script { install, ..Script::default() }).expect_success();
    }
    assert_eq!(otrp.state().tee.sdlist.len(), 100);
    otrp.create_sd(SD, SP).expect_pass();
}
