//! A hundred providers with each of three TAMs over both protocols: nobody reaches what is another's.

use tamarack_agent::{SignerAnchor, TamAnchor};
use tamarack_model::{Code, ComponentId, OwnerId, codes};
use tamarack_otrp::ErrorCode;
use tamarack_otrp::request::{Changes, Content, CreateSd, DeleteSd, DeleteTa, InstallTa, UpdateSd};
use tamarack_otrp::ta_information::TaQuery;
use tamarack_otrp::ta_package::{self, Protection, TaPackage};
use tamarack_testkit::otrp_pki::OtrpPki;

use crate::otrp_world::*;
use crate::world::*;

const TAMS: usize = 3;
const PROVIDERS: usize = 100;
/// So many of them have domains by OTrP, the others what TEEP installed.
const EXPLICIT: usize = 34;
const URIS: [&str; TAMS] =
    ["https://one.example/tam", "https://two.example/tam", "https://three.example/tam"];

fn provider_name(number: usize) -> String {
    format!("provider {number}")
}

/// The domain of a provider with a TAM; every other one is called the same with each of them.
fn domain(tam: usize, number: usize) -> String {
    if number.is_multiple_of(2) { format!("domain {number}") } else { format!("domain {number} of {tam}") }
}

fn ta_of(domain: &str, kind: &str) -> ComponentId {
    id(domain, WALLET, kind)
}

/// The signer of a provider that TEEP knows.
fn signer_of(number: usize) -> u8 {
    u8::try_from(100 + number - EXPLICIT).unwrap()
}

/// The device's TAMs, each with both protocols, and none of the domains yet.
fn device() -> Otrp {
    let pki = OtrpPki::new(&provider(), TAMS);
    let mut seed = seed();
    seed.signers = (EXPLICIT..PROVIDERS)
        .map(|number| {
            let label = |tam| vec![domain(tam, number).into_bytes()];
            let anchor = signer_anchor(&provider_name(number), &*key(signer_of(number), "signer"), "");
            SignerAnchor { prefixes: (0..TAMS).map(label).collect(), ..anchor }
        })
        .collect();
    seed.tams = (0..TAMS)
        .map(|tam| TamAnchor {
            otrp: Some(principal(&pki.tams[tam])),
            domains: PROVIDERS as u32,
            domain_quota: 1 << 10,
            ..tam_anchor(OwnerId([tam as u8 + 1; 16]), &*key(tam as u8 + 1, "tam"), URIS[tam])
        })
        .collect();
    Otrp::with(pki, &seed)
}

impl Otrp {
    /// From now on this TAM speaks, in either protocol.
    fn speak(&mut self, tam: usize) {
        self.tam = tam;
        self.world.tam = key(tam as u8 + 1, "tam");
        self.state();
    }

    fn ta(&self, sdname: &str, spid: &str) -> InstallTa {
        let (tamid, taid) = (self.tamid(), WALLET_TAID.into());
        InstallTa { tamid, spid: spid.into(), sdname: sdname.into(), spcert: None, taid }
    }

    fn package_for(&self, spid: &str, envelope: Vec<u8>) -> ta_package::EncryptedTa {
        let key = self.aik(spid, tamarack_jose::jwk::KeyUse::Encryption);
        let recipient = tamarack_jose::jwe::Recipient::from_jwk(&key).unwrap();
        let package = TaPackage { ta: Some(envelope), pdata: None };
        ta_package::seal(&package, &recipient, Protection::A256Gcm, &provider()).unwrap()
    }
}

#[test]
fn k1_a_matrix_of_owners_providers_and_protocols() {
    let mut otrp = device();
    for tam in 0..TAMS {
        otrp.speak(tam);
        for number in 0..EXPLICIT {
            let (sdname, spid) = (domain(tam, number), provider_name(number));
            let create = CreateSd { spid: spid.clone(), ..otrp.create(&sdname, SP) };
            otrp.command(Content::CreateSd(create), None).expect_pass();
            // Some of them have a TA.
            if number % 20 < 2 {
                let content = format!("{tam} {number}");
                let manifest = ta_of(&sdname, "suit");
                let suit = envelope(1, &manifest, &ta_of(&sdname, "ta"), 1, content.as_bytes());
                let package = otrp.package_for(&spid, suit);
                let content = Content::InstallTa(otrp.ta(&sdname, &spid));
                otrp.command(content, Some(&package)).expect_pass();
            }
        }
        let manifests: Vec<_> = (EXPLICIT..PROVIDERS)
            .map(|number| {
                let (sdname, content) = (domain(tam, number), format!("{tam} {number}"));
                let (manifest, ta) = (ta_of(&sdname, "suit"), ta_of(&sdname, "ta"));
                envelope(signer_of(number), &manifest, &ta, 1, content.as_bytes())
            })
            .collect();
        for some in manifests.chunks(22) {
            otrp.exchange(Script { install: some.to_vec(), ..Script::default() }).expect_success();
        }
    }
    let tas = 4 + PROVIDERS - EXPLICIT;
    let status = otrp.agent.status().unwrap();
    assert_eq!((status.domains.len(), status.components.len()), (TAMS * PROVIDERS, TAMS * tas));

    for tam in 0..TAMS {
        otrp.speak(tam);
        // It sees its own and nothing else.
        let tee = otrp.dsi.clone().unwrap().into_dsi().tee;
        assert_eq!((tee.sdlist.len(), tee.teeaiklist.len()), (PROVIDERS, 2 * EXPLICIT));
        let own = |name: &str| (0..PROVIDERS).any(|number| domain(tam, number) == name);
        assert!(tee.sdlist.iter().all(|sd| own(&sd.name)));
        assert_eq!(tee.sdlist.iter().map(|sd| sd.talist.len()).sum::<usize>(), tas);
        // Agent and firmware; then components and manifests.
        assert_eq!(otrp.query().tc_list.len(), 2 + 2 * tas);

        for victim in (0..TAMS).filter(|victim| *victim != tam) {
            for number in [1, 51, 3] {
                let (sdname, spid) = (domain(victim, number), provider_name(number));
                attack(&mut otrp, &sdname, &spid);
                let query = TaQuery { spid, taid: WALLET_TAID.into(), nonce: None }.to_vec();
                let found = otrp.agent.ta_information(&query, Some(URIS[victim])).is_ok();
                assert_eq!(found, number == 1, "the victim's TA and key are there as before");
            }
        }
    }
    assert_eq!(otrp.agent.status().unwrap().components, status.components);
}

/// Every operation of both protocols on a domain that is another's.
fn attack(otrp: &mut Otrp, sdname: &str, spid: &str) {
    let tamid = otrp.tamid();
    let mut refused = |content: Content, package: Option<&ta_package::EncryptedTa>| {
        assert_eq!(otrp.refused(content, package, ErrorCode::SdNotFound), codes::OTRP_SD_NOT_FOUND);
    };
    for changes in [
        Changes { renewteespaik: true, ..Changes::default() },
        Changes { newsdname: Some("mine".into()), ..Changes::default() },
        Changes { spcert: vec![spcert(2)], ..Changes::default() },
        Changes { deloldspcert: vec![provider().sha256(&spcert(1))], ..Changes::default() },
    ] {
        let (tamid, spid, sdname) = (tamid.clone(), Some(spid.into()), sdname.into());
        refused(Content::UpdateSd(UpdateSd { tamid, spid, sdname, changes }), None);
    }
    for deleteta in [false, true] {
        let content = DeleteSd { tamid: tamid.clone(), sdname: sdname.into(), deleteta };
        refused(Content::DeleteSd(content), None);
    }
    let content = DeleteTa { tamid, sdname: sdname.into(), taid: WALLET_TAID.into() };
    refused(Content::DeleteTa(content), None);
    let suit = envelope(1, &ta_of(sdname, "suit"), &ta_of(sdname, "ta"), 9, b"mine");
    // Encrypted to a key of the attacker's own.
    let package = otrp.package_for(&provider_name(0), suit.clone());
    for content in [Content::InstallTa(otrp.ta(sdname, spid)), Content::UpdateTa(otrp.ta(sdname, spid))] {
        otrp.refused(content, Some(&package), ErrorCode::SdNotFound);
    }
    // In TEEP no signer of the attacker's is one for that domain, and what it does not see it cannot delete.
    let failed = tamarack_teep::ErrCode::ManifestProcessingFailed;
    let code: Code = codes::SUIT_UNAUTHORISED;
    otrp.world.refused(Script::install(suit), failed, code);
    let before = otrp.digest();
    otrp.exchange(Script::remove(ta_of(sdname, "suit"))).expect_success();
    assert_eq!(otrp.digest(), before);
}
