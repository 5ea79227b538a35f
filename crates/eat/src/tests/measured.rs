use tamarack_cbor::{Decode, Encode, Limits};
use tamarack_model::ComponentId;

use super::unhex;
use crate::{Claims, MeasuredComponent, MeasuredTa, MeasuredValue, Measurement, NoTa};

fn ta() -> MeasuredTa {
    let uuid = *b"0123456789abcdef";
    let id = |last: &[u8]| ComponentId::new([&b"acme"[..], &uuid, last]).unwrap();
    MeasuredTa {
        component: id(b"ta"),
        manifest: id(b"suit"),
        provider: "Acme".into(),
        sequence: 7,
        digest: [9; 32],
        loaded: true,
    }
}

#[test]
fn a_ta_is_a_measured_component_and_back() {
    let component = MeasuredComponent::from(&ta());
    assert_eq!(component.version, Some(("7".into(), Some(4))));
    assert_eq!(component.flags, Some([0, 0, 0, 0, 0, 0, 0, 1]));
    assert_eq!(MeasuredTa::try_from(&component), Ok(ta()));
    let claims = Claims { measurements: alloc::vec![Measurement::Component(component)], ..Claims::default() };
    assert_eq!(Claims::from_cbor(&claims.to_cbor(), &Limits::default()), Ok(claims.clone()));
    // 273 => [[295, bytes]]
    assert_eq!(claims.to_cbor()[..10], unhex("a1 190111 81 82 190127 58")[..]);
}

#[test]
fn a_component_that_differs_anywhere_is_no_ta() {
    type Change = fn(&mut MeasuredComponent);
    let cases: [(&str, Change); 12] = [
        ("name", |c| c.name = "acme//ta".into()),
        ("version", |c| c.version = None),
        ("version", |c| c.version = Some(("7".into(), Some(1)))),
        ("version", |c| c.version = Some(("7.1".into(), Some(4)))),
        ("spelling", |c| c.version = Some(("07".into(), Some(4)))),
        ("spelling", |c| c.name = "h'61636d65'/30313233-3435-3637-3839-616263646566/ta".into()),
        ("digest", |c| c.value = MeasuredValue::Raw(alloc::vec![9; 32])),
        ("authorities", |c| c.authorities.clear()),
        ("authorities", |c| c.authorities.push(alloc::vec![0])),
        ("authorities", |c| c.authorities[0].push(0)),
        ("flags", |c| c.flags = None),
        ("flags", |c| c.flags = Some([0, 0, 0, 0, 0, 0, 0, 3])),
    ];
    for (member, change) in cases {
        let mut component = MeasuredComponent::from(&ta());
        change(&mut component);
        assert_eq!(MeasuredTa::try_from(&component), Err(NoTa(member)), "{component:?}");
    }
}

#[test]
fn malformed_measurements_are_refused() {
    let cases = [
        ("a1 190111 80", "no measurements"),
        ("a1 190111 81 82 190127 a0", "a component that is not in a byte string"),
        ("a1 190111 81 82 190127 41 a0", "a component without members"),
        ("a1 190111 81 82 190127 47 a2 01 81 61 61 05 41", "a component that is cut off"),
        ("a1 190111 81 82 190127 45 a1 01 81 61 61", "no measurement"),
        ("a1 190111 81 82 190127 4c a3 01 81 61 61 02 82 01 40 05 40", "two measurements"),
        ("a1 190111 81 82 190127 4a a3 01 81 61 61 03 80 05 40", "no authorities"),
        ("a1 190111 81 82 190127 49 a3 01 81 61 61 05 40 06 00", "a sixth member"),
        ("a1 19010a a0", "no submodules"),
        ("a1 19010a a1 01 02", "a submodule without a text as its name"),
    ];
    for (hex, what) in cases {
        assert!(Claims::from_cbor(&unhex(hex), &Limits::default()).is_err(), "{what}");
    }
}
