use tamarack_model::{CODES, Code, codes};

use crate::ErrorCode;

#[test]
fn every_code_has_its_text_and_its_stable_code() {
    for code in ErrorCode::ALL {
        assert_eq!(ErrorCode::parse(code.text()), Some(*code));
        let info = code.code().info().expect("a row in CODES");
        assert!(info.title.starts_with(code.text()), "{}", info.title);
        // Back again, but for what only a Broker says.
        let back = if code.is_of_broker() { ErrorCode::RequestInvalid } else { *code };
        assert_eq!(ErrorCode::of(code.code()), back);
    }
    assert_eq!(ErrorCode::parse("ERR_SD_ALREADY_EXIST"), Some(ErrorCode::SdAlreadyExists));
    assert_eq!(ErrorCode::parse("ERR_NONE"), None);
    assert_eq!(ErrorCode::ALL.len(), 20);
}

#[test]
fn every_code_of_ours_has_a_word_in_the_draft() {
    for row in CODES {
        assert!(!ErrorCode::of(row.code).is_of_broker(), "{}", row.name);
    }
    let cases = [
        (codes::INTERNAL, ErrorCode::TeeFail),
        (codes::JSON_MALFORMED, ErrorCode::RequestInvalid),
        (codes::JOSE_SIGNATURE, ErrorCode::RequestInvalid),
        (codes::JOSE_DECRYPTION, ErrorCode::RequestInvalid),
        (codes::JOSE_ALGORITHM, ErrorCode::UnsupportedCryptoAlg),
        (codes::JOSE_RSA1_5, ErrorCode::UnsupportedCryptoAlg),
        (codes::OTRP_VERSION, ErrorCode::UnsupportedMsgVersion),
        (codes::OTRP_MALFORMED, ErrorCode::RequestInvalid),
        (codes::X509_PATH, ErrorCode::TamNotTrusted),
        (codes::X509_EXPIRED, ErrorCode::TamNotTrusted),
        (codes::SUIT_ROLLBACK, ErrorCode::TaInvalid),
        (codes::TA_QUOTA, ErrorCode::TeeResourceFull),
        (codes::TEE_STORAGE, ErrorCode::TeeFail),
        (codes::TAM_NOT_TRUSTED, ErrorCode::TamNotTrusted),
        (Code(9999), ErrorCode::TeeFail),
    ];
    for (code, expected) in cases {
        assert_eq!(ErrorCode::of(code), expected, "{code}");
    }
}
