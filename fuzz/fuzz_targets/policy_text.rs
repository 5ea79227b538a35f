//! A release policy from its text to its decision. Whatever the text: it is refused with a code of its own, or it decides
//! in time about a device that shows as much as there can be.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use tamarack_attest::release::{
    DeviceFacts, MOST_ENTRIES, MOST_TEXT, Release, ReleaseRules, Shown, ShownComponent, Submodule,
};
use tamarack_attest::{Grade, Tier, TrustVector};
use tamarack_model::{ComponentId, DeviceId, Protocol};
use tamarack_policy_cel::CelRules;

static DEVICE: LazyLock<DeviceFacts> = LazyLock::new(|| {
    let text = "x".repeat(MOST_TEXT);
    let mut shown = Shown::of_certificates(Grade::Hardware, &vec![text.clone(); MOST_ENTRIES], 1);
    let component = ShownComponent { name: text.clone(), finding: "released".into(), svn: Some(1) };
    shown.components = vec![component; MOST_ENTRIES];
    shown.claims.layers = vec![text.clone(); MOST_ENTRIES];
    let vector = TrustVector::default();
    let submodule = |n: usize| Submodule { name: format!("{n:0256}"), status: Tier::Warning, vector };
    shown.submodules = (0..MOST_ENTRIES).map(submodule).collect();
    DeviceFacts { id: DeviceId([1; 32]), protocol: Protocol::Teep, known: true, first_seen: 1, shown }
});

static RELEASE: LazyLock<Release> = LazyLock::new(|| {
    let id = ComponentId::new([&b"acme"[..], b"wallet", b"suit"]).expect("a component id");
    Release {
        manifest: id.clone(),
        components: vec![id],
        provider: "acme".into(),
        sequence: 2,
        installed: Some(1),
    }
});

fuzz_target!(|text: &str| {
    // Each text is compiled once and not kept.
    let rules = CelRules::default();
    let checked = rules.check(text);
    let begin = Instant::now();
    let decisions = rules.decide(text, &DEVICE, std::slice::from_ref(&RELEASE), 2);
    assert_eq!(decisions.len(), 1);
    match checked {
        Err(refusal) => {
            assert!((4020..=4025).contains(&refusal.code.0), "{refusal}");
            assert_eq!((decisions[0].allow, decisions[0].code), (false, Some(refusal.code)));
        }
        Ok(()) => assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed()),
    }
    assert!(decisions[0].allow == decisions[0].code.is_none());
    assert!(decisions[0].allow || !decisions[0].reason.is_empty());
});
