use super::*;

#[test]
fn configuration_reads_back() {
    for key_type in [KeyType::P256, KeyType::Ed25519] {
        let config = DeviceConfig::new([1; 16], [2; 16], "valve-1");
        let config = DeviceConfig { key_type, ..config };
        let bytes = config.to_cbor();
        assert_eq!(DeviceConfig::read(&bytes).as_ref(), Ok(&config));
        for end in 0..bytes.len() {
            DeviceConfig::read(&bytes[..end]).unwrap_err();
        }
        let otrp = OtrpConfig { tee_name: "tee".into(), tee_version: "1".into() };
        let both = DeviceConfig { otrp: Some(otrp), ..config.clone() };
        let bytes = both.to_cbor();
        assert_eq!(DeviceConfig::read(&bytes).as_ref(), Ok(&both));
        for end in 0..bytes.len() {
            DeviceConfig::read(&bytes[..end]).unwrap_err();
        }
        for (name, version) in [("", "1"), ("tee", ""), (&*"x".repeat(65), "1")] {
            let otrp = OtrpConfig { tee_name: name.into(), tee_version: version.into() };
            let bad = DeviceConfig { otrp: Some(otrp), ..config.clone() };
            DeviceConfig::read(&bad.to_cbor()).unwrap_err();
        }
        for personas in [0, 257] {
            DeviceConfig::read(&DeviceConfig { personas, ..config.clone() }.to_cbor()).unwrap_err();
        }
        let empty = DeviceConfig { hwmodel: Vec::new(), ..config };
        DeviceConfig::read(&empty.to_cbor()).unwrap_err();
    }
}
