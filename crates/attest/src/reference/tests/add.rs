use super::*;

#[test]
fn malformed_unsigned_and_foreign_ones_are_refused() {
    let sources = Sources::new();
    let good = values(vec![release(AGENT, [4; 32], 1)]);
    let signed = sources.signed(&good);
    let stranger = sign(&good, &Signer::new("Acme"), &*make(&provider()), None).unwrap();
    let mut changed = signed.clone();
    *changed.last_mut().unwrap() ^= 1;
    let mut references = sources.references();
    let cases: [(&str, Vec<u8>, Code); 6] = [
        ("nothing", Vec::new(), codes::REFERENCE_MALFORMED),
        ("cut", signed[..signed.len() - 1].to_vec(), codes::REFERENCE_MALFORMED),
        ("unsigned", tamarack_cbor::Encode::to_cbor(&good), codes::REFERENCE_UNSIGNED),
        ("another key", stranger, codes::REFERENCE_UNTRUSTED),
        ("changed", changed, codes::REFERENCE_UNTRUSTED),
        ("too long", [&signed[..], &vec![0; 300 << 10]].concat(), codes::CBOR_LIMIT),
    ];
    for (what, bytes, code) in cases {
        assert_eq!(sources.refused_bytes(&mut references, &bytes), code, "{what}");
    }
    let mut none = References::default();
    assert_eq!(sources.refused_bytes(&mut none, &signed), codes::REFERENCE_UNTRUSTED);
}

#[test]
fn providers_keep_to_their_scope() {
    let sources = Sources::new();
    let agent = || release(AGENT, [4; 32], 1);
    let about = |environment: Environment, measurement| {
        let mut tag = tag("x", 1, vec![measurement]);
        tag.reference_values[0].environment = environment;
        corim(tag)
    };
    let other_vendor =
        Environment::of_class(Class { vendor: Some("Bolt".into()), ..environment().class.unwrap() });
    let everyone = Environment::of_class(Class { model: None, vendor: None, ..environment().class.unwrap() });
    let one = Environment { group: Some(tamarack_corim::Group::Uuid([1; 16])), ..environment() };
    let mut references = sources.references();
    for wide in [other_vendor, everyone.clone()] {
        assert_eq!(sources.refused(&mut references, &about(wide.clone(), agent())), codes::REFERENCE_SCOPE);
        let mut endorsed = tag("x", 1, vec![agent()]);
        endorsed.endorsed_values = vec![Triple { environment: wide.clone(), measurements: vec![agent()] }];
        assert_eq!(sources.refused(&mut references, &corim(endorsed)), codes::REFERENCE_SCOPE);
        let mut keys = tag("x", 1, vec![agent()]);
        keys.attest_keys = vec![attest_keys(wide, vec![CryptoKey::new(&sources.maker.public_key())])];
        assert_eq!(sources.refused(&mut references, &corim(keys)), codes::REFERENCE_SCOPE);
    }
    assert!(references.add(&sources.signed(&about(one, agent())), NOW, &provider()).is_ok());

    // The signer of TAs speaks of whole segments below its prefix.
    for (name, fine) in [
        ("urn:bank", true),
        ("urn:bank:wallet", true),
        ("urn:bank/wallet", true),
        ("urn:bank-robber:wallet", false),
        ("urn:ban", false),
        (AGENT, false),
    ] {
        let ta = corim(tag(name, 1, vec![release(name, [1; 32], 1)]));
        let signed = sign(&ta, &Signer::new("Bank"), &*sources.signer, None).unwrap();
        let added = sources.references().add(&signed, NOW, &provider());
        assert_eq!(added.is_ok(), fine, "{name}");
        assert!(fine || added.unwrap_err().code == codes::REFERENCE_SCOPE);
    }
    // Without a scope nobody speaks of anything.
    let mut providers = sources.providers();
    providers.iter_mut().for_each(|provider| provider.scope.clear());
    let mut references = References::new(providers);
    assert_eq!(sources.refused(&mut references, &values(vec![agent()])), codes::REFERENCE_SCOPE);
}

fn attest_keys(environment: Environment, keys: Vec<CryptoKey>) -> AttestKeys {
    AttestKeys { environment, keys, element: None, authorized_by: Vec::new() }
}

#[test]
fn what_is_not_understood_is_refused() {
    let sources = Sources::new();
    let agent = || release(AGENT, [4; 32], 1);
    let with = |change: fn(&mut Measurement)| {
        let mut measurement = agent();
        change(&mut measurement);
        values(vec![measurement])
    };
    let with_tag = |change: fn(&mut Comid)| {
        let mut tag = tag("firmware", 1, vec![agent()]);
        change(&mut tag);
        corim(tag)
    };
    let profile = |uri: &str| Corim { profile: Some(Profile::Uri(uri.into())), ..values(vec![agent()]) };
    let cases = [
        profile("urn:x-tamarack:corim:2"),
        Corim { profile: Some(Profile::Oid(vec![1])), ..values(vec![agent()]) },
        Corim { tags: vec![Tag::Other(508, vec![0xa0])], ..values(vec![agent()]) },
        with(|m| m.authorized_by = vec![CryptoKey::Bytes(vec![1])]),
        with(|m| m.values.other = vec![(8, vec![0x61, b's'])]),
        with(|m| m.values.flags = vec![(1, true)]),
        with(|m| m.values.svn = Some(Svn::AtLeast(1))),
        with(|m| m.values.digests.clear()),
        with_tag(|t| t.tag_version = crate::reference::REPLACED),
        with_tag(|t| t.other_triples = vec![(2, vec![0x81, 0x80])]),
        with_tag(|t| {
            t.linked_tags = vec![LinkedTag { tag_id: t.tag_id.clone(), relation: Relation::Replaces }]
        }),
        with_tag(|t| t.attest_keys = vec![attest_keys(environment(), vec![CryptoKey::Bytes(vec![1])])]),
        with_tag(|t| {
            t.attest_keys = vec![AttestKeys {
                element: Some(MeasuredElement::Uint(1)),
                ..attest_keys(environment(), vec![CryptoKey::new(&make(&provider()).public_key())])
            }];
        }),
    ];
    let mut references = sources.references();
    for (index, corim) in cases.iter().enumerate() {
        let code = sources.refused(&mut references, corim);
        assert_eq!(code, codes::REFERENCE_UNSUPPORTED, "case {index}");
    }
    let signed = sources.signed(&profile(crate::REFERENCE_PROFILE));
    assert!(references.add(&signed, NOW, &provider()).is_ok());
}

#[test]
fn rolled_back_and_contradicting_ones_are_refused() {
    let sources = Sources::new();
    let version =
        |version, digest: u8, svn| corim(tag("firmware", version, vec![release(AGENT, [digest; 32], svn)]));
    let mut references = sources.with(&[version(3, 4, 1)]);
    assert_eq!(sources.refused(&mut references, &version(2, 4, 1)), codes::REFERENCE_ROLLBACK);
    assert_eq!(sources.refused(&mut references, &version(3, 5, 1)), codes::REFERENCE_CONFLICT);
    // The same content in another tag with another security version.
    let other = corim(tag("other", 1, vec![release(AGENT, [4; 32], 2)]));
    assert_eq!(sources.refused(&mut references, &other), codes::REFERENCE_CONFLICT);
    // Two that contradict each other in one CoRIM.
    let two = corim(tag("two", 1, vec![release(AGENT, [7; 32], 1), release(AGENT, [7; 32], 2)]));
    assert_eq!(sources.refused(&mut references, &two), codes::REFERENCE_CONFLICT);
    let twice = Corim {
        tags: vec![
            Tag::Comid(tag("t", 1, vec![release(AGENT, [7; 32], 1)])),
            Tag::Comid(tag("t", 1, vec![least(AGENT, 1)])),
        ],
        ..version(9, 9, 9)
    };
    assert_eq!(sources.refused(&mut references, &twice), codes::REFERENCE_CONFLICT);
    // A correction in the next version is none.
    assert!(references.add(&sources.signed(&version(4, 4, 2)), NOW, &provider()).is_ok());
    assert_eq!(finding(&references, [4; 32]), matched(2, 4));
    let mut longer = version(3, 4, 1);
    longer.validity = Some(Validity { not_before: None, not_after: NOW });
    assert_eq!(sources.refused(&mut references, &longer), codes::REFERENCE_ROLLBACK);
    // What is there already stays what it is: superseded.
    assert!(references.add(&sources.signed(&version(3, 4, 1)), NOW, &provider()).unwrap().known);
    assert_eq!(finding(&references, [4; 32]), matched(2, 4));
}

#[test]
fn adding_the_same_again_changes_nothing() {
    let sources = Sources::new();
    let signed = sources.signed(&values(vec![release(AGENT, [4; 32], 1)]));
    let mut references = sources.references();
    let first = references.add(&signed, NOW, &provider()).unwrap();
    let again = references.add(&signed, NOW, &provider()).unwrap();
    assert!(!first.known && again.known && first.id == again.id);
    assert_eq!(references.entries().len(), 1);
    // The same content signed once more, for longer, is another entry.
    let longer = sources.signed(&ending(values(vec![release(AGENT, [4; 32], 1)]), None, NOW + 9));
    assert!(!references.add(&longer, NOW, &provider()).unwrap().known);
}

#[test]
fn deactivated_ones_do_not_count_and_nothing_older_comes_back() {
    let sources = Sources::new();
    let first = values(vec![release(AGENT, [4; 32], 1)]);
    let second = corim(tag("firmware", 2, vec![release(AGENT, [5; 32], 2)]));
    let mut references = sources.with(&[first.clone(), second]);
    let newest = references.entries()[1].id;
    assert!(references.deactivate(&newest));
    assert!(!references.deactivate(&[0; 32]));
    assert_eq!(finding(&references, [5; 32]), Finding::Unknown);
    assert_eq!(finding(&references, [4; 32]), Finding::Unknown);
    // Adding the first again gives what is there already, out of force.
    assert!(references.add(&sources.signed(&ending(first, None, NOW + 1)), NOW, &provider()).is_err());
}

#[test]
fn replaced_tags_are_dead() {
    let sources = Sources::new();
    let mut replacing = tag("new", 1, vec![release(AGENT, [5; 32], 2)]);
    replacing.linked_tags =
        vec![LinkedTag { tag_id: Id::Text("firmware".into()), relation: Relation::Replaces }];
    let mut references = sources.with(&[values(vec![release(AGENT, [4; 32], 1)]), corim(replacing)]);
    assert_eq!(finding(&references, [4; 32]), Finding::NoMatch);
    let later = corim(tag("firmware", 99, vec![release(AGENT, [4; 32], 1)]));
    assert_eq!(sources.refused(&mut references, &later), codes::REFERENCE_ROLLBACK);
}

#[test]
fn what_is_stored_comes_back_as_far_as_it_is_still_vouched_for() {
    let sources = Sources::new();
    let corims = [
        values(vec![release(AGENT, [4; 32], 1)]),
        corim(tag("firmware", 2, vec![release(AGENT, [5; 32], 2)])),
    ];
    let mut references = sources.with(&corims);
    let id = references.entries()[0].id;
    references.deactivate(&id);
    let stored: Vec<StoredReference> = corims
        .iter()
        .zip(references.entries())
        .map(|(corim, entry)| StoredReference { signed: sources.signed(corim), active: entry.active })
        .collect();
    let floors: Vec<_> = references.floors().collect();
    let restore = |providers, stored: &[StoredReference]| {
        References::restore(providers, stored, floors.clone(), &provider())
    };
    let (again, left_out) = restore(sources.providers(), &stored);
    assert!(left_out.is_empty());
    let states = |r: &References| r.entries().iter().map(|e| (e.corim.clone(), e.active)).collect::<Vec<_>>();
    assert_eq!(states(&again), states(&references));
    assert_eq!(again.floors().collect::<Vec<_>>(), floors);
    // Without the maker, or with a byte changed in the store, nothing is trusted; floors stay.
    let (none, left_out) = restore(Vec::new(), &stored);
    assert_eq!((none.entries().len(), left_out.len()), (0, 2));
    assert_eq!(none.floors().count(), 1);
    let mut altered = stored.clone();
    altered[1].signed[40] ^= 1;
    let (one, left_out) = restore(sources.providers(), &altered);
    assert_eq!((one.entries().len(), left_out.len()), (1, 1));
    assert_eq!(finding(&one, [4; 32]), Finding::Unknown, "the floor holds without the entry that raised it");
}
