use tamarack_corim::DigestAlgorithm;

use super::*;

#[test]
fn components_are_found_as_their_providers_say() {
    let sources = Sources::new();
    let agent = |digest: u8, svn: u64| release(AGENT, [digest; 32], svn);
    let past = |corim| ending(corim, None, NOW);
    let cases: Vec<(&str, Vec<Corim>, Finding)> = vec![
        ("released", vec![values(vec![agent(4, 1)])], matched(1, 1)),
        ("released, without svn", vec![values(vec![release(AGENT, [4; 32], None)])], matched(None, 1)),
        ("one of several", vec![values(vec![agent(3, 1), agent(4, 2), agent(5, 3)])], matched(2, 1)),
        ("another", vec![values(vec![agent(5, 1)])], Finding::NoMatch),
        ("nobody says", vec![], Finding::Unknown),
        ("least reached", vec![values(vec![agent(4, 5), least(AGENT, 5)])], matched(5, 1)),
        (
            "too low",
            vec![values(vec![agent(4, 4), least(AGENT, 5)])],
            Finding::Outdated { svn: Some(4), least: 5 },
        ),
        (
            "no svn where one is asked for",
            vec![values(vec![release(AGENT, [4; 32], None), least(AGENT, 5)])],
            Finding::Outdated { svn: None, least: 5 },
        ),
        (
            "the highest least counts",
            vec![values(vec![agent(4, 6), least(AGENT, 5), least(AGENT, 7)])],
            Finding::Outdated { svn: Some(6), least: 7 },
        ),
        ("a least of something else", vec![values(vec![agent(4, 4), least("urn:x", 5)])], matched(4, 1)),
        ("not begun", vec![ending(values(vec![agent(4, 1)]), Some(NOW + 1), NOW + 2)], Finding::Expired),
        ("last second", vec![past(values(vec![agent(4, 1)]))], matched(1, 1)),
        (
            "replaced by a higher version",
            vec![values(vec![agent(4, 1)]), corim(tag("firmware", 2, vec![agent(5, 2)]))],
            Finding::NoMatch,
        ),
        (
            "still in the higher version",
            vec![values(vec![agent(4, 1)]), corim(tag("firmware", 2, vec![agent(4, 1), agent(5, 2)]))],
            matched(1, 2),
        ),
    ];
    for (what, corims, expected) in cases {
        assert_eq!(finding(&sources.with(&corims), [4; 32]), expected, "{what}");
    }
}

#[test]
fn what_permits_ends_and_what_forbids_does_not() {
    let sources = Sources::new();
    let short = ending(corim(tag("least", 1, vec![least(AGENT, 5)])), None, NOW);
    let long = values(vec![release(AGENT, [4; 32], 4)]);
    let references = sources.with(&[short, long]);
    let shown = Triple { environment: environment(), measurements: vec![release(AGENT, [4; 32], None)] };
    for now in [NOW, NOW + 1, NOW + 1_000_000] {
        let found = &references.compare(&shown, now)[0].finding;
        assert_eq!(*found, Finding::Outdated { svn: Some(4), least: 5 }, "{now}");
    }
    let short = sources.with(&[ending(values(vec![release(AGENT, [4; 32], 4)]), None, NOW)]);
    assert_eq!(short.compare(&shown, NOW + 1)[0].finding, Finding::Expired);
}

#[test]
fn a_clock_before_the_validity_trusts_nothing() {
    let sources = Sources::new();
    let references = sources.with(&[ending(values(vec![release(AGENT, [4; 32], 1)]), Some(NOW), NOW + 9)]);
    let shown = Triple { environment: environment(), measurements: vec![release(AGENT, [4; 32], None)] };
    for (now, good) in [(0, false), (NOW - 1, false), (NOW, true), (NOW + 9, true), (NOW + 10, false)] {
        let found = &references.compare(&shown, now)[0].finding;
        assert_eq!(found.code().is_none(), good, "{now}: {found:?}");
        assert!(good || *found == Finding::Expired);
    }
}

#[test]
fn a_signature_ends_too() {
    let sources = Sources::new();
    let signer = Signer { name: "Acme".into(), not_before: None, not_after: Some(NOW) };
    let signed = sign(&values(vec![release(AGENT, [4; 32], 1)]), &signer, &*sources.maker, None).unwrap();
    let mut references = sources.references();
    references.add(&signed, NOW, &provider()).unwrap();
    assert_eq!(references.entries()[0].validity(), (0, NOW));
    let late = sources.references().add(&signed, NOW + 1, &provider()).unwrap_err();
    assert_eq!(late.code, codes::REFERENCE_EXPIRED);
}

#[test]
fn components_of_the_maker_must_be_shown_and_those_of_others_need_not() {
    let sources = Sources::new();
    let both = values(vec![release(AGENT, [4; 32], 1), release(LAUNCHER, [5; 32], 1)]);
    let mut references = sources.with(&[both]);
    assert_eq!(findings(&references, [4; 32]), [matched(1, 1), Finding::NotShown]);

    let ta = corim(tag("wallet", 1, vec![release("urn:bank:wallet", [9; 32], 1)]));
    let signed = sign(&ta, &Signer::new("Bank"), &*sources.signer, None).unwrap();
    references.add(&signed, NOW, &provider()).unwrap();
    assert_eq!(findings(&references, [4; 32]), [matched(1, 1), Finding::NotShown]);
    let shown = Triple {
        environment: environment(),
        measurements: vec![
            release(AGENT, [4; 32], None),
            release(LAUNCHER, [5; 32], None),
            release("urn:bank:wallet", [8; 32], None),
        ],
    };
    let found: Vec<Finding> = references.compare(&shown, NOW).into_iter().map(|f| f.finding).collect();
    assert_eq!(found[2], Finding::NoMatch);
}

#[test]
fn digests_are_compared_over_all_common_algorithms() {
    let sources = Sources::new();
    let sha = |id: i64, size: usize, fill: u8| Digest {
        algorithm: DigestAlgorithm::Id(id),
        value: vec![fill; size],
    };
    let named = Digest { algorithm: DigestAlgorithm::Name("sha-256".into()), value: vec![4; 32] };
    let with = |digests: Vec<Digest>| {
        let mut measurement = release(AGENT, [0; 32], 1);
        measurement.values.digests = digests;
        measurement
    };
    let cases: [(Vec<Digest>, Vec<Digest>, bool); 6] = [
        (vec![sha(1, 32, 4)], vec![sha(1, 32, 4)], true),
        (vec![named], vec![sha(1, 32, 4)], true),
        (vec![sha(1, 32, 4), sha(7, 48, 5)], vec![sha(1, 32, 4)], true),
        (vec![sha(1, 32, 4), sha(7, 48, 5)], vec![sha(1, 32, 4), sha(7, 48, 6)], false),
        (vec![sha(7, 48, 4)], vec![sha(1, 32, 4)], false),
        (vec![sha(99, 32, 4)], vec![sha(1, 32, 4)], false),
    ];
    for (said, shown, expected) in cases {
        let references = sources.with(&[values(vec![with(said.clone())])]);
        let shown = Triple { environment: environment(), measurements: vec![with(shown)] };
        let found = &references.compare(&shown, NOW)[0].finding;
        assert_eq!(found.code().is_none(), expected, "{said:?}: {found:?}");
    }
}

#[test]
fn endorsements_are_handed_on_and_their_least_counts() {
    let sources = Sources::new();
    let mut tag = tag("firmware", 1, vec![release(AGENT, [4; 32], 4)]);
    let named = MeasurementValues { name: Some("certified".into()), ..MeasurementValues::default() };
    let note = Measurement { element: None, values: named, authorized_by: Vec::new() };
    tag.endorsed_values =
        vec![Triple { environment: environment(), measurements: vec![note.clone(), least(AGENT, 5)] }];
    let references = sources.with(&[corim(tag)]);
    assert_eq!(finding(&references, [4; 32]), Finding::Outdated { svn: Some(4), least: 5 });
    let endorsed = references.endorsed(&environment(), NOW);
    assert_eq!((endorsed.len(), &*endorsed[0].provider, &endorsed[0].measurement), (2, "Acme", &note));
    let other = Environment::of_class(Class { vendor: Some("Bolt".into()), ..Class::default() });
    assert!(references.endorsed(&other, NOW).is_empty());
}
