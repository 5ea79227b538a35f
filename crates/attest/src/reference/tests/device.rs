use super::*;

/// A device of [`World`] whose Evidence shows an Agent and a launcher.
fn device(references: Option<References>) -> (World, Claims) {
    let mut world = World::new(Grade::Software);
    world.policy = Policy { references: references.map(Into::into), ..world.policy };
    let mut claims = world.claims();
    claims.manifests = vec![Manifest::sha256(AGENT, [4; 32]), Manifest::sha256(LAUNCHER, [5; 32])];
    (world, claims)
}

#[test]
fn an_agent_changed_by_one_byte_is_not_attested() {
    let sources = Sources::new();
    let firmware = values(vec![release(AGENT, [4; 32], 1), release(LAUNCHER, [5; 32], 1)]);
    let (world, claims) = device(Some(sources.with(&[firmware])));
    let appraisal = world.appraise(&world.evidence(&claims)).unwrap();
    assert_eq!(appraisal.result.status, Tier::Affirming);
    assert_eq!(appraisal.result.vector.executables, Some(claim::APPROVED_BOOT));
    assert!(appraisal.reasons.iter().any(|reason| reason.starts_with(AGENT)), "{:?}", appraisal.reasons);

    let mut changed = claims.clone();
    let mut digest = [4; 32];
    digest[31] ^= 1;
    changed.manifests[0] = Manifest::sha256(AGENT, digest);
    let refusal = world.appraise(&world.evidence(&changed)).unwrap_err();
    assert_eq!(refusal.code, codes::MEASUREMENT_MISMATCH);
    assert_eq!(refusal.reason, "urn:x-tamarack:agent: not among the released ones");

    let mut hidden = claims.clone();
    hidden.manifests.remove(0);
    let refusal = world.appraise(&world.evidence(&hidden)).unwrap_err();
    assert_eq!(refusal.code, codes::MEASUREMENT_MISMATCH, "{refusal}");
    let mut more = claims;
    more.manifests.push(Manifest::sha256("urn:x:unheard-of", [9; 32]));
    let refusal = world.appraise(&world.evidence(&more)).unwrap_err();
    assert_eq!(refusal.code, codes::MEASUREMENT_UNKNOWN, "{refusal}");
}

#[test]
fn results_say_what_was_found() {
    let sources = Sources::new();
    let agent = |digest: u8, svn| release(AGENT, [digest; 32], svn);
    let launcher = || release(LAUNCHER, [5; 32], 1);
    let with = |measurements| Some(sources.with(&[values(measurements)]));
    let soon = || {
        let corim = ending(values(vec![agent(4, 1), launcher()]), Some(NOW + 1), NOW + 2);
        Some(sources.with(&[corim]))
    };
    type Case = (Option<References>, Tier, Option<i8>, Option<Code>);
    let cases: Vec<Case> = vec![
        (None, Tier::None, None, None),
        (with(vec![agent(4, 1), launcher()]), Tier::Affirming, Some(3), None),
        (Some(sources.references()), Tier::Warning, Some(33), Some(codes::MEASUREMENT_UNKNOWN)),
        (Some(References::default()), Tier::Warning, Some(33), Some(codes::MEASUREMENT_UNKNOWN)),
        (
            with(vec![agent(6, 1), launcher()]),
            Tier::Contraindicated,
            Some(96),
            Some(codes::MEASUREMENT_MISMATCH),
        ),
        (
            with(vec![agent(4, 1), launcher(), least(AGENT, 2)]),
            Tier::Warning,
            Some(32),
            Some(codes::MEASUREMENT_OUTDATED),
        ),
        (soon(), Tier::None, Some(0), Some(codes::REFERENCE_EXPIRED)),
    ];
    for (references, status, executables, code) in cases {
        let (world, claims) = device(references);
        let evidence = world.evidence(&claims);
        let (result, refused) = world.assess(&evidence);
        assert_eq!((result.status, result.vector.executables, refused), (status, executables, code));
        assert_eq!(result.vector.instance_identity, Some(claim::RECOGNIZED_INSTANCE));
        assert!(!result.reasons.is_empty());
        // Evidence under no TEE CA is contraindicated whatever it shows.
        let (stranger, _) = device(None);
        let (result, refused) = world.assess(&stranger.evidence(&claims));
        assert_eq!(result.status, Tier::Contraindicated);
        assert_eq!(refused, Some(codes::EVIDENCE_UNTRUSTED));
    }
}

impl World {
    fn assess(&self, evidence: &[u8]) -> (crate::TrustResult, Option<Code>) {
        let teep_key = tamarack_cose::thumbprint(&self.teep_key, &self.provider);
        let expected =
            crate::Expectations { nonce: &crate::tests::NONCE, teep_key: Some(teep_key), now: NOW };
        let format = Some(tamarack_eat::SOFTWARE_TEE_FORMAT);
        let assessment = assess(format, evidence, &expected, &self.policy, &self.provider);
        let affirming = assessment.result.status == Tier::Affirming;
        assert!(!affirming || assessment.outcome.is_ok(), "affirmed and refused");
        (assessment.result, assessment.outcome.err().map(|refusal| refusal.code))
    }
}

/// A small world of statements: who, which tag, version, digest, svn, least, validity.
fn statement() -> impl Strategy<Value = (bool, u8, u64, u8, Option<u64>, Option<u64>, Option<u64>)> {
    (
        any::<bool>(),
        0..2u8,
        0..3u64,
        0..3u8,
        proptest::option::of(0..3u64),
        proptest::option::of(0..3u64),
        proptest::option::of(NOW..NOW + 2),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was added, in whatever order, with whatever deactivated: a match means that an active, valid, newest
    /// statement of that digest exists, and no least above its svn.
    #[test]
    fn a_match_always_has_a_reason(
        statements in prop::collection::vec(statement(), 0..6),
        deactivated in 0..8usize,
        digest in 0..3u8,
    ) {
        let sources = Sources::new();
        let mut references = sources.references();
        for (maker, id, version, digest, svn, minimum, end) in statements {
            let name = if maker { AGENT } else { "urn:bank:agent" };
            let mut measurements = vec![release(name, [digest; 32], svn)];
            measurements.extend(minimum.map(|minimum| least(name, minimum)));
            let id = ["a", "b"][usize::from(id)];
            let mut corim = corim(tag(id, version, measurements));
            corim.validity = end.map(|not_after| Validity { not_before: None, not_after });
            let key = if maker { &sources.maker } else { &sources.signer };
            let signed = sign(&corim, &Signer::new("x"), &**key, None).unwrap();
            let floors: Vec<_> = references.floors().collect();
            let _ = references.add(&signed, NOW, &provider());
            for (provider, tag, version) in floors {
                let now = references.floors().find(|f| f.0 == provider && f.1 == tag).unwrap().2;
                prop_assert!(now >= version, "a floor fell");
            }
        }
        if let Some(id) = references.entries().get(deactivated).map(|entry| entry.id) {
            references.deactivate(&id);
        }
        let now = NOW + 1;
        let shown =
            Triple { environment: environment(), measurements: vec![release(AGENT, [digest; 32], None)] };
        let found = references.compare(&shown, now);
        let in_force: Vec<&Measurement> = references
            .entries()
            .iter()
            .filter(|entry| entry.active && entry.provider == "Acme")
            .flat_map(|entry| entry.comids().map(move |tag| (entry, tag)))
            .filter(|(_, tag)| references.floors().all(|f| f.0 != "Acme" || f.1 != tag.tag_id || f.2 <= tag.tag_version))
            .filter(|(entry, tag)| entry.validity().1 >= now || tag.reference_values.is_empty())
            .flat_map(|(_, tag)| tag.reference_values.iter().flat_map(|triple| &triple.measurements))
            .collect();
        let released = in_force.iter().any(|m| m.values.digests == [Digest::sha256([digest; 32])]);
        match &found[0].finding {
            Finding::Match { svn, .. } => {
                prop_assert!(released);
                for value in &in_force {
                    if let Some(Svn::AtLeast(minimum)) = value.values.svn {
                        prop_assert!(svn.is_some_and(|svn| svn >= minimum));
                    }
                }
            }
            Finding::NoMatch | Finding::Unknown | Finding::Expired => prop_assert!(!released),
            Finding::Outdated { .. } | Finding::Conflicting => prop_assert!(released),
            Finding::NotShown => prop_assert!(false, "it is shown"),
        }
    }

    #[test]
    fn random_bytes_are_refused_and_change_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let sources = Sources::new();
        let mut references = sources.references();
        for head in [&[][..], &[0xd2, 0x84], &[0xd9, 1, 0xf5]] {
            let bytes = [head, &bytes].concat();
            prop_assert!(references.add(&bytes, NOW, &provider()).is_err());
        }
        prop_assert!(references.entries().is_empty());
    }
}
