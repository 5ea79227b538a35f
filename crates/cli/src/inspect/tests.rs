use super::{Shape, tree};

#[test]
fn every_public_cbor_object_is_shown() {
    let Some(specs) = tamarack_testkit::specs::specs_dir() else { return };
    let vectors = specs.join("vectors");
    let index = std::fs::read_to_string(vectors.join("INDEX.tsv")).expect("INDEX.tsv");
    let mut shown = 0;
    for name in index.lines().filter_map(|line| line.split('\t').next()) {
        if !(name.ends_with(".cbor") || name.ends_with(".suit")) {
            continue;
        }
        let bytes = std::fs::read(vectors.join(name)).expect("listed file");
        let text = tree(&bytes, None).unwrap_or_else(|e| panic!("{name}: {e}")).to_string();
        assert!(text.lines().count() >= 1, "{name}");
        shown += 1;
    }
    assert!(shown > 100, "only {shown} objects found");
}

#[test]
fn names_stand_where_they_belong() {
    // [3, {20: h'0102030405060708', 15: [[h'61']]}]
    let update = hex::decode("8203a2144801020304050607080f81814161").unwrap();
    let text = tree(&update, None).unwrap().to_string();
    assert!(text.contains("TEEP Update"), "{text}");
    assert!(text.contains("20 token: h'0102030405060708'"), "{text}");
    assert!(text.contains("15 unneeded-manifest-list"), "{text}");
    assert!(text.contains("[0]: a"), "{text}");
}

#[test]
fn what_a_receiver_would_refuse_is_shown_with_a_note() {
    let text = tree(&[0x18, 0x05], Some(Shape::Cbor)).unwrap().to_string();
    assert!(text.contains("5") && text.contains("refuses these bytes"), "{text}");
    assert!(tree(&[0x82, 0x01], None).is_err());
    assert!(tree(&[], None).is_err());
}
