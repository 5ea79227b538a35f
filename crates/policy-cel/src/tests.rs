use std::time::{Duration, Instant};

use tamarack_attest::release::{
    Decision, DeviceFacts, MOST_ENTRIES, MOST_TEXT, Release, ReleaseRules, Shown, ShownBy, ShownClaims,
    ShownComponent, Submodule,
};
use tamarack_attest::{Grade, Tier, TrustVector};
use tamarack_model::{Code, ComponentId, DeviceId, Protocol, codes};

use crate::{CelRules, Limits};

const NOW: u64 = 1_800_000_000;

fn device() -> DeviceFacts {
    let vector = TrustVector { instance_identity: Some(2), executables: Some(3), ..TrustVector::default() };
    DeviceFacts {
        id: DeviceId([0xab; 32]),
        protocol: Protocol::Teep,
        known: true,
        first_seen: NOW - 86_400,
        shown: Shown {
            at: NOW,
            proof: ShownBy::Evidence("application/eat+cwt".into()),
            grade: Grade::Software,
            status: Tier::Affirming,
            vector,
            submodules: vec![Submodule { name: "ta".into(), status: Tier::Warning, vector }],
            components: vec![
                ShownComponent {
                    name: "urn:x-tamarack:agent".into(),
                    finding: "released".into(),
                    svn: Some(3),
                },
                ShownComponent {
                    name: "urn:x-tamarack:launcher".into(),
                    finding: "released".into(),
                    svn: None,
                },
            ],
            reasons: vec!["signed under TEE CA 0".into()],
            claims: ShownClaims {
                hwmodel: Some("software-tee".into()),
                debug: Some("disabled".into()),
                layers: vec!["own-uid".into(), "seccomp".into()],
                root_secret: Some("file".into()),
                counter_quality: Some("tpm".into()),
                ..ShownClaims::default()
            },
            cut: false,
        },
    }
}

fn release() -> Release {
    Release {
        manifest: ComponentId::new([&b"com.acme"[..], &[7; 16], b"suit"]).unwrap(),
        components: vec![ComponentId::new([&b"com.acme"[..], &[7; 16], b"ta"]).unwrap()],
        provider: "acme".into(),
        sequence: 4,
        installed: Some(3),
    }
}

/// A device that shows as much as there can be.
fn largest() -> DeviceFacts {
    let text = "x".repeat(MOST_TEXT);
    let mut device = device();
    let shown = &mut device.shown;
    let component = ShownComponent { name: text.clone(), finding: "released".into(), svn: Some(1) };
    shown.components = vec![component; MOST_ENTRIES];
    shown.reasons = vec![text.clone(); MOST_ENTRIES];
    shown.claims.layers = vec![text.clone(); MOST_ENTRIES];
    let submodule =
        |i: usize| Submodule { name: format!("{i:0256}"), status: Tier::Affirming, vector: shown.vector };
    shown.submodules = (0..MOST_ENTRIES).map(submodule).collect();
    device
}

fn decide(policy: &str) -> Decision {
    CelRules::default().decide(policy, &device(), &[release()], NOW).remove(0)
}

#[test]
fn a_policy_sees_the_device_and_what_it_would_be_given() {
    for policy in [
        "true",
        "device.grade == 'software' && device.known && device.protocol == 'teep'",
        "device.grade in ['software', 'hardware']",
        "device.first_seen <= now - 3600",
        "device.id.startsWith('abab')",
        "appraisal.status == 'affirming' && appraisal.vector.executables >= 2 && appraisal.vector.hardware == 0",
        "appraisal.components.all(c, c.finding == 'released')",
        "appraisal.components.exists(c, c.name == 'urn:x-tamarack:agent' && has(c.svn) && c.svn >= 3)",
        "appraisal.components.exists_one(c, c.name.endsWith(':agent'))",
        "appraisal.components.filter(c, has(c.svn)).map(c, c.svn) == [3]",
        "'ta' in appraisal.submods && appraisal.submods['ta'].status != 'contraindicated'",
        "size(appraisal.reasons) == 1 && !appraisal.cut && appraisal.proof == 'evidence'",
        "'seccomp' in claims.layers && ['own-uid', 'seccomp'].all(layer, layer in claims.layers)",
        "claims.root_secret in ['file', 'tpm'] && claims.counter_quality == 'tpm'",
        "!has(claims.oemid) && has(claims.debug) && claims.debug != 'enabled'",
        "ta.provider == 'acme' && ta.sequence > ta.installed && ta.update",
        "ta.manifest.startsWith('com.acme/') && ta.components.exists(c, c.endsWith('/ta'))",
        "{'allow': true, 'reason': 'because'}",
        "now > 0 ? {'allow': true, 'reason': ''} : {'allow': false, 'reason': 'time'}",
        // Comments and line breaks.
        "// who\ndevice.known // yes\n  && true",
    ] {
        let decision = decide(policy);
        assert!(decision.allow && decision.code.is_none(), "{policy}: {decision:?}");
    }
}

/// Names that are too long may have become the same.
#[test]
fn of_two_tas_of_one_name_the_first_and_worse_one_counts() {
    let mut device = device();
    let worse = Submodule { status: Tier::Contraindicated, ..device.shown.submodules[0].clone() };
    device.shown.submodules.insert(0, worse);
    let policy = "appraisal.submods.all(ta_id, appraisal.submods[ta_id].status != 'contraindicated')";
    let decision = CelRules::default().decide(policy, &device, &[release()], NOW).remove(0);
    assert_eq!(decision.code, Some(codes::RELEASE_DENIED), "{decision:?}");
}

#[test]
fn a_denial_says_what_was_not_so() {
    for (policy, reason) in [
        ("device.grade == 'hardware'", "not: device.grade == 'hardware' (line 1, column 14)"),
        (
            "device.known &&\n  claims.root_secret == 'tpm' && ta.update",
            "not: claims.root_secret == 'tpm' (line 2, column 22)",
        ),
        (
            "device.grade == 'hardware' ? true : claims.layers.exists(l, l == 'landlock')",
            "not: claims.layers.exists(l, l == 'landlock') (line 1, column 57)",
        ),
        ("{'allow': false, 'reason': 'only for ' + claims.hwmodel}", "only for software-tee"),
        ("{'allow': false, 'reason': ''}", "no reason is given"),
        ("{'allow': false, 'reason': 'a\\u001b[2Jb'}", "a\u{fffd}[2Jb"),
    ] {
        assert_eq!(decide(policy), Decision::deny(codes::RELEASE_DENIED, reason), "{policy}");
    }
}

fn check(policy: &str, code: Code, reason: &str) {
    let refusal = CelRules::default().check(policy).unwrap_err();
    assert_eq!((refusal.code, refusal.reason.as_str()), (code, reason), "{policy}");
    // What cannot be put in force denies if it is all the same.
    let decision = decide(policy);
    assert_eq!((decision.allow, decision.code), (false, Some(code)), "{policy}");
}

#[test]
fn what_does_not_compile_is_refused_with_line_and_column() {
    let invalid = codes::RELEASE_POLICY_INVALID;
    for (policy, reason) in [
        ("", "line 1, column 1: mismatched input '<EOF>'"),
        ("device.grade = 'x'", "line 1, column 14: token recognition error at: '= '"),
        ("true &&\n  && false", "line 2, column 3: extraneous input '&&'"),
        ("'abc", "line 1, column 1: token recognition error at: ''abc'"),
        ("99999999999999999999 > now", "line 1, column 1: invalid int literal"),
        ("@alive", "line 1, column 1: token recognition error at: '@'"),
        ("appraisal.reasons.all(x.y, true)", "line 1, column 24: argument must be a simple name"),
        ("claims.?debug == 'x'", "line 1, column 7: unsupported syntax '.?'"),
        // Wrong types.
        ("device.grade == 3", "line 1, column 14: a text is never compared with a number"),
        (
            "ta.sequence > '3'",
            "line 1, column 13: the order of texts is that of the alphabet, which says nothing here; use == or in",
        ),
        (
            "device.grade >= 'software'",
            "line 1, column 14: the order of texts is that of the alphabet, which says nothing here; use == or in",
        ),
        ("device.grade && true", "line 1, column 7: this is a text, and a bool is needed"),
        ("!ta.sequence", "line 1, column 4: this is a number, and a bool is needed"),
        ("now - 'x' == 0", "line 1, column 7: this is a text, and a number is needed"),
        ("'x' in device.id", "line 1, column 5: nothing is in a text"),
        ("ta.sequence.all(x, true)", "line 1, column 3: there is nothing to loop over in a number"),
        ("claims.layers.all(device, true)", "line 1, column 18: device is a fact and cannot be a variable"),
        ("size() == 3", "line 1, column 5: size() does not take 0 values so"),
    ] {
        check(policy, invalid, reason);
    }
}

#[test]
fn what_names_what_does_not_exist_is_refused_with_line_and_column() {
    let name = codes::RELEASE_POLICY_NAME;
    for (policy, reason) in [
        (
            "devise.known",
            "line 1, column 1: there is no devise; there are device, appraisal, claims, ta, now",
        ),
        (
            "true &&\n  ta.name == 'x'",
            "line 2, column 5: there is no .name; there are manifest, components, provider, sequence, update, installed",
        ),
        (
            "device['grad'] == 'none'",
            "line 1, column 7: there is no .grad; there are id, protocol, grade, known, first_seen",
        ),
        (
            "has(device.owner)",
            "line 1, column 4: there is no .owner; there are id, protocol, grade, known, first_seen",
        ),
        (
            "'grad' in device",
            "line 1, column 1: there is no .grad; there are id, protocol, grade, known, first_seen",
        ),
        // A word that can never be the value would let everything through behind a !=.
        (
            "device.grade != 'hardwre'",
            "line 1, column 17: there is no 'hardwre'; there are none, software, hardware",
        ),
        (
            "appraisal.status in ['affirming', 'ok']",
            "line 1, column 35: there is no 'ok'; there are affirming, none, warning, contraindicated",
        ),
        (
            "appraisal.components.all(c, c.digest == 'x')",
            "line 1, column 30: there is no .digest; there are name, finding, svn",
        ),
        ("now.year == 3", "line 1, column 4: there is no .year in a number"),
        ("open('/etc/passwd')", "line 1, column 5: there is no open()"),
        ("device.id.matches('a+')", "line 1, column 18: there is no matches()"),
        ("google.protobuf.Any{a: 1}", "line 1, column 20: there is no type google.protobuf.Any"),
        ("type(now) == int", "line 1, column 5: there is no type()"),
        ("c.all(c, c)", "line 1, column 1: there is no c; there are device, appraisal, claims, ta, now"),
    ] {
        let refusal = CelRules::default().check(policy).unwrap_err();
        assert_eq!(refusal.code, name, "{policy}: {refusal}");
        if !reason.contains("google") && !reason.contains("type()") {
            check(policy, name, reason);
        }
    }
}

#[test]
fn what_could_run_too_long_is_refused_before_it_is_in_force() {
    let chained = |loops: usize| format!("[0]{} != []", ".map(a, [a, a, a, a, a, a, a, a])".repeat(loops));
    for policy in [
        "x".repeat(8193),
        "(".repeat(2000),
        format!("{}true{}", "(".repeat(40), ")".repeat(40)),
        format!("{} > 0", vec!["1"; 1000].join("+")),
        format!("{}true", "!".repeat(5) + &"-".repeat(4000)),
        "claims.layers.all(a, claims.layers.all(b, claims.layers.all(c, claims.layers.all(d, a == b))))"
            .into(),
        "claims.layers.all(a, claims.layers.all(b, claims.layers.all(c, a == b && b == c)))".into(),
        "appraisal.components.all(a, appraisal.components.all(b, a == b || [a, a, a, b, b, b] == [b]))"
            .into(),
        // Each doubles what the one before gave.
        chained(30),
        "claims.layers.map(a, appraisal.components).map(b, [b, b]).all(c, c == [])".into(),
        "appraisal.reasons.map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a) == []".into(),
    ] {
        let begin = Instant::now();
        let begun = &policy[..policy.len().min(60)];
        let refusal = CelRules::default().check(&policy);
        let Err(refusal) = refusal else { panic!("{begun}") };
        assert!(begin.elapsed() < Duration::from_secs(2), "{begun}: {:?}", begin.elapsed());
        let expected =
            if begun.starts_with("!!") { codes::RELEASE_POLICY_INVALID } else { codes::RELEASE_POLICY_LIMIT };
        assert_eq!(refusal.code, expected, "{begun}: {refusal}");
    }
}

/// The bound is one: what it lets through takes a fraction of the time, on a device that shows as much as there can be.
#[test]
fn what_is_let_through_ends_in_time() {
    let rules = CelRules::default();
    let device = largest();
    for policy in [
        "appraisal.components.all(c, appraisal.components.exists_one(d, has(d.svn)) || true)",
        "claims.layers.all(a, a in claims.layers) && appraisal.components.all(c, c in appraisal.components)",
        "appraisal.reasons.map(a, a + a).all(b, b.contains('xxxxy') || b.size() > 0)",
        "claims.layers.filter(a, a != '').map(a, [a, a]).all(b, b != [])",
        "appraisal.components.all(a, claims.layers.all(b, b != ''))",
        "appraisal.submods.all(a, appraisal.submods[a].vector.executables > 1)",
    ] {
        if let Err(refusal) = rules.check(policy) {
            println!("{policy}: {refusal}");
            assert_eq!(refusal.code, codes::RELEASE_POLICY_LIMIT);
            continue;
        }
        let begin = Instant::now();
        let decision = rules.decide(policy, &device, &[release()], NOW).remove(0);
        println!("{policy}: {:?} {decision:?}", begin.elapsed());
        assert_ne!(decision.code, Some(codes::RELEASE_POLICY_TIME), "{policy}");
    }
}

/// Loops whose result would be "allow" if they were merely ended.
const ENDLESS: &str = "claims.layers.all(a, claims.layers.all(b, claims.layers.all(c, claims.layers.all(d, \
                       claims.layers.all(e, claims.layers.filter(f, f == a).map(g, [g]) != [b])))))";

fn unbounded() -> Limits {
    Limits { cost: u64::MAX, loops: 16, time: Duration::from_millis(50), ..Limits::default() }
}

#[test]
fn what_runs_too_long_all_the_same_is_cut_off_and_denied() {
    let rules = CelRules::new(unbounded());
    let exists = ENDLESS.replacen(".all(", ".exists(", 1);
    let maps = "claims.layers.map(a, claims.layers.map(b, claims.layers.map(c, claims.layers.map(d, \
                claims.layers.map(e, a == e))))) != []";
    for policy in [ENDLESS, exists.as_str(), maps] {
        rules.check(policy).unwrap();
        let begin = Instant::now();
        let decisions = rules.decide(policy, &largest(), &[release(), release(), release()], NOW);
        assert!(begin.elapsed() < Duration::from_secs(1), "{policy}: {:?}", begin.elapsed());
        for decision in decisions {
            assert_eq!(
                (decision.allow, decision.code),
                (false, Some(codes::RELEASE_POLICY_TIME)),
                "{policy}"
            );
        }
    }
}

#[test]
fn one_that_runs_too_long_keeps_no_other_waiting() {
    let rules = CelRules::new(Limits { time: Duration::from_millis(700), ..unbounded() });
    rules.check(ENDLESS).unwrap();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| rules.decide(ENDLESS, &largest(), &[release()], NOW));
        std::thread::sleep(Duration::from_millis(100));
        let begin = Instant::now();
        for _ in 0..20 {
            assert!(rules.decide("device.known", &device(), &[release()], NOW).remove(0).allow);
        }
        assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
        assert!(!slow.is_finished());
        assert_eq!(slow.join().unwrap().remove(0).code, Some(codes::RELEASE_POLICY_TIME));
    });
}

#[test]
fn what_fails_is_denied() {
    let failed = codes::RELEASE_POLICY_FAILED;
    for (policy, reason) in [
        ("claims.oemid == 'x'", "there is no 'oemid' of this device: ask with has(..) first"),
        (
            "appraisal.submods['tpm'].status == 'affirming'",
            "there is no 'tpm' of this device: ask with has(..) first",
        ),
        ("appraisal.components[7].finding == 'released'", "an index is beyond the end of its list"),
        ("now / 0 == 1", "division by zero"),
        ("9223372036854775807 + now > 0", "a number became too large"),
    ] {
        assert_eq!(decide(policy), Decision::deny(failed, reason), "{policy}");
    }
    // An error beside what decides it decides nothing, as CEL has it.
    assert!(decide("claims.oemid == 'x' || device.known").allow);
    assert!(!decide("claims.oemid == 'x' && device.known").allow);
}

#[test]
fn what_is_no_decision_is_denied() {
    let result = codes::RELEASE_POLICY_RESULT;
    check("'yes'", result, "line 1, column 1: the result is a text, not a bool or a map");
    check("ta.sequence", result, "line 1, column 3: the result is a number, not a bool or a map");
    check("[true]", result, "line 1, column 1: the result is a list, not a bool or a map");
    let map = "the map must have 'allow', a bool, and 'reason', a string, and nothing else";
    for policy in [
        "{}",
        "{'allow': true}",
        "{'allow': 'true', 'reason': ''}",
        "{'allow': 1, 'reason': ''}",
        "{'reason': 'x'}",
        "{'allow': true, 'reason': 3}",
        "{'allow': true, 'reason': '', 'more': 1}",
        "device",
        "null == null ? {'a': 1} : {'b': 2}",
    ] {
        assert_eq!(decide(policy), Decision::deny(result, map), "{policy}");
    }
    let decision = decide("null");
    assert_eq!((decision.allow, decision.code), (false, Some(result)));
    let decision = decide("1.5");
    assert_eq!((decision.allow, decision.code), (false, Some(result)));
}

#[test]
fn each_release_is_decided_for_itself() {
    let mut other = release();
    other.provider = "evil".into();
    let decisions =
        CelRules::default().decide("ta.provider == 'acme'", &device(), &[release(), other, release()], NOW);
    assert_eq!(decisions.iter().map(|d| d.allow).collect::<Vec<_>>(), [true, false, true]);
    assert!(CelRules::default().decide("true", &device(), &[], NOW).is_empty());
}

#[test]
fn a_table_tells_all_that_can_be_named() {
    let table = crate::table();
    assert!(table.iter().any(|(path, ..)| path == "claims.root_secret"));
    for (path, ..) in table {
        let policy = format!("size(string({path} == {path})) > 0 || true");
        CelRules::default().check(&policy).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
}

/// The document says what there is, and what it shows compiles.
#[test]
fn the_document_and_the_examples_are_true() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let document = std::fs::read_to_string(format!("{root}/docs/release-policy.md")).unwrap();
    let rows: String = crate::table()
        .into_iter()
        .map(|(path, kind, optional, meaning)| {
            format!("| `{path}`{} | {kind} | {meaning} |\n", if optional { " ?" } else { "" })
        })
        .collect();
    let table = format!("| fact | what it is | what it means |\n|---|---|---|\n{rows}");
    assert!(document.contains(&table), "docs/release-policy.md must have this table:\n{table}");
    let rules = CelRules::default();
    let mut policies: Vec<String> = document
        .split("```cel\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_string())
        .collect();
    for entry in std::fs::read_dir(format!("{root}/examples/policy")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "cel") {
            policies.push(std::fs::read_to_string(path).unwrap());
        }
    }
    assert!(policies.len() >= 6);
    for policy in policies {
        rules.check(&policy).unwrap_or_else(|e| panic!("{policy}: {e}"));
    }
    let limits = Limits::default();
    assert!(document.contains(&format!("longer than {} bytes", limits.text)));
    assert!(document.contains(&format!("nested deeper than {}", limits.depth)));
    assert!(document.contains(&format!("loops deeper than {}", limits.loops)));
    assert_eq!(limits.time, Duration::from_millis(500), "half a second");
}

/// What policies are made of, put together without a plan.
const WORDS: &[&str] = &[
    "device",
    "appraisal",
    "claims",
    "ta",
    "now",
    ".",
    "grade",
    "known",
    "layers",
    "components",
    "submods",
    "vector",
    "executables",
    "root_secret",
    "name",
    "svn",
    "finding",
    "sequence",
    "x",
    "y",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "?",
    "==",
    "!=",
    "<",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "in",
    "'a'",
    "'none'",
    "'allow'",
    "'reason'",
    "true",
    "false",
    "null",
    "0",
    "1",
    "9223372036854775807",
    "1.5",
    "2u",
    "b'x'",
    ".all(x, ",
    ".exists(y, ",
    ".exists_one(x, ",
    ".map(x, ",
    ".map(x, true, ",
    ".filter(y, ",
    ")",
    "has(",
    "size(",
    ".size()",
    "string(",
    "int(",
    ".startsWith(",
    ".contains(",
    "claims.layers",
    "device.grade",
    "appraisal.components",
    "appraisal.submods",
    "ta.sequence",
    "[x, x]",
    "[claims.layers]",
    "type(",
    "dyn(",
    "bytes(",
    "double(",
    "\n",
    "// c\n",
    "\"",
    "'",
    "`",
    "\\",
    "é",
    "\u{0}",
    "@result",
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1500))]

    /// Whatever the text: it is refused with a code of its own, or decides in time.
    #[test]
    fn every_text_is_refused_or_decides_in_time(words in proptest::collection::vec(0..WORDS.len(), 1..40)) {
        let text: String = words.iter().map(|word| WORDS[*word]).collect::<Vec<_>>().join(" ");
        let rules = CelRules::default();
        let checked = rules.check(&text);
        let begin = Instant::now();
        let decision = rules.decide(&text, &largest(), &[release()], NOW).remove(0);
        match checked {
            Err(refusal) => {
                assert!((4020..=4025).contains(&refusal.code.0), "{text}: {refusal}");
                assert_eq!((decision.allow, decision.code), (false, Some(refusal.code)), "{text}");
            }
            Ok(()) => {
                assert_ne!(decision.code, Some(codes::RELEASE_POLICY_TIME), "{text}: {:?}", begin.elapsed());
            }
        }
        assert_eq!(decision.allow, decision.code.is_none(), "{text}");
    }
}
