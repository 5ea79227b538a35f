//! What the labels mean where they stand. One table per structure; a row is label, name, and what its value is.

/// What a value is, which says how its members are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    Any,
    /// A byte string that holds CBOR of this kind.
    Wrapped(&'static Context),
    /// An array whose elements are all of this kind.
    Each(&'static Context),
    TeepMessage,
    TeepOptions,
    TeepRequestedTc,
    TeepErrorCode,
    DataItems,
    PropertyClaims,
    SuitEnvelope,
    SuitAuthentication,
    SuitDigest,
    SuitManifest,
    SuitCommon,
    SuitSequence,
    SuitParameters,
    SuitReport,
    SuitRecord,
    SuitText,
    ComponentId,
    CoseSign1,
    CoseSign,
    CoseMac0,
    CoseEncrypt,
    CoseSignature,
    CoseHeader,
    CosePayload,
    CoseKey,
    Algorithm,
    EatClaims,
    Confirmation,
    /// Something signed or not, to be guessed from what it is.
    Guess,
}

use Context as C;

type Row = (i128, &'static str, Context);

/// The name and kind of the member `label` of a map of kind `context`.
pub fn member(context: Context, label: i128) -> Option<(&'static str, Context)> {
    let table: &[Row] = match context {
        C::TeepOptions => TEEP_OPTIONS,
        C::TeepRequestedTc => TEEP_REQUESTED_TC,
        C::PropertyClaims => PROPERTY_CLAIMS,
        C::SuitEnvelope => SUIT_ENVELOPE,
        C::SuitManifest => SUIT_MANIFEST,
        C::SuitCommon => SUIT_COMMON,
        C::SuitParameters => SUIT_PARAMETERS,
        C::SuitReport => SUIT_REPORT,
        C::CoseHeader => COSE_HEADER,
        C::CoseKey => COSE_KEY,
        C::EatClaims => EAT_CLAIMS,
        C::Confirmation => CONFIRMATION,
        _ => return None,
    };
    table.iter().find(|row| row.0 == label).map(|row| (row.1, row.2))
}

/// The name and kind of element `index` of an array of kind `context`.
pub fn element(context: Context, index: usize) -> Option<(&'static str, Context)> {
    let table: &[(&'static str, Context)] = match context {
        C::TeepMessage => &[("type", C::Any), ("options", C::TeepOptions)],
        C::SuitDigest => &[("algorithm", C::Algorithm), ("bytes", C::Any)],
        C::SuitRecord => &[
            ("manifest-id", C::Any),
            ("section", C::Any),
            ("offset", C::Any),
            ("component-index", C::Any),
            ("properties", C::SuitParameters),
        ],
        C::CoseSign1 => COSE_SIGN1,
        C::CoseMac0 => COSE_MAC0,
        C::CoseSign => COSE_SIGN,
        C::CoseEncrypt => COSE_ENCRYPT,
        C::CoseSignature => COSE_SIGNATURE,
        C::SuitAuthentication if index == 0 => return Some(("digest", C::Wrapped(&C::SuitDigest))),
        C::SuitAuthentication => return Some(("authentication-block", C::Wrapped(&C::Guess))),
        C::Each(kind) => return Some(("", *kind)),
        _ => return None,
    };
    table.get(index).copied()
}

/// The kind that a tag announces.
pub fn tagged(tag: u64) -> Option<(&'static str, Context)> {
    Some(match tag {
        16 => ("COSE_Encrypt0", C::CoseEncrypt),
        17 => ("COSE_Mac0", C::CoseMac0),
        18 => ("COSE_Sign1", C::CoseSign1),
        61 => ("CWT", C::Guess),
        96 => ("COSE_Encrypt", C::CoseEncrypt),
        97 => ("COSE_Mac", C::CoseMac0),
        98 => ("COSE_Sign", C::CoseSign),
        107 => ("SUIT_Envelope", C::SuitEnvelope),
        285 => ("SUIT_Report protected", C::Guess),
        601 => ("UCCS", C::EatClaims),
        1070 => ("SUIT_Manifest", C::SuitManifest),
        _ => return None,
    })
}

/// Name of a TEEP message type.
pub fn teep_type(number: i128) -> Option<&'static str> {
    Some(match number {
        1 => "QueryRequest",
        2 => "QueryResponse",
        3 => "Update",
        5 => "Success",
        6 => "Error",
        _ => return None,
    })
}

/// The elements behind the options of a TEEP message of this type.
pub fn teep_tail(kind: i128, index: usize) -> Option<(&'static str, Context)> {
    match (kind, index) {
        (1, 2) => Some(("supported-teep-cipher-suites", C::Any)),
        (1, 3) => Some(("supported-suit-cose-profiles", C::Any)),
        (1, 4) => Some(("data-item-requested", C::DataItems)),
        (6, 2) => Some(("err-code", C::TeepErrorCode)),
        _ => None,
    }
}

/// Name of a number of this kind, such as an algorithm or error code.
pub fn number(context: Context, value: i128) -> Option<&'static str> {
    let table: &[(i128, &'static str)] = match context {
        C::Algorithm => ALGORITHMS,
        C::TeepErrorCode => TEEP_ERRORS,
        _ => return None,
    };
    table.iter().find(|row| row.0 == value).map(|row| row.1)
}

/// A SUIT command: its name and what its argument is.
pub fn command(code: i128) -> Option<(&'static str, Context)> {
    SUIT_COMMANDS.iter().find(|row| row.0 == code).map(|row| (row.1, row.2))
}

const TEEP_OPTIONS: &[Row] = &[
    (1, "supported-teep-cipher-suites", C::Any),
    (2, "challenge", C::Any),
    (3, "versions", C::Any),
    (4, "supported-suit-cose-profiles", C::Any),
    (6, "selected-version", C::Any),
    (7, "attestation-payload", C::Wrapped(&C::Guess)),
    (8, "tc-list", C::Each(&C::PropertyClaims)),
    (9, "ext-list", C::Any),
    (10, "manifest-list", C::Each(&C::Wrapped(&C::SuitEnvelope))),
    (11, "msg", C::Any),
    (12, "err-msg", C::Any),
    (13, "attestation-payload-format", C::Any),
    (14, "requested-tc-list", C::Each(&C::TeepRequestedTc)),
    (15, "unneeded-manifest-list", C::Each(&C::ComponentId)),
    (19, "suit-reports", C::Each(&C::Wrapped(&C::Guess))),
    (20, "token", C::Any),
    (21, "supported-freshness-mechanisms", C::Any),
    (22, "err-lang", C::Any),
    (23, "err-code", C::TeepErrorCode),
    (256, "agent-nonce (Update binding, ours)", C::Any),
];

const TEEP_REQUESTED_TC: &[Row] = &[
    (16, "component-id", C::ComponentId),
    (17, "tc-manifest-sequence-number", C::Any),
    (18, "have-binary", C::Any),
];

const TEEP_ERRORS: &[(i128, &str)] = &[
    (1, "ERR_PERMANENT_ERROR"),
    (2, "ERR_UNSUPPORTED_EXTENSION"),
    (3, "ERR_UNSUPPORTED_FRESHNESS_MECHANISMS"),
    (4, "ERR_UNSUPPORTED_MSG_VERSION"),
    (5, "ERR_UNSUPPORTED_CIPHER_SUITES"),
    (6, "ERR_BAD_CERTIFICATE"),
    (7, "ERR_ATTESTATION_REQUIRED"),
    (8, "ERR_UNSUPPORTED_SUIT_REPORT"),
    (9, "ERR_CERTIFICATE_EXPIRED"),
    (10, "ERR_TEMPORARY_ERROR"),
    (17, "ERR_MANIFEST_PROCESSING_FAILED"),
];

const PROPERTY_CLAIMS: &[Row] = &[
    (0, "component-id", C::ComponentId),
    (3, "image-digest", C::Wrapped(&C::SuitDigest)),
    (14, "image-size", C::Any),
];

const SUIT_ENVELOPE: &[Row] = &[
    (1, "delegation (reserved)", C::Any),
    (2, "authentication-wrapper", C::Wrapped(&C::SuitAuthentication)),
    (3, "manifest", C::Wrapped(&C::SuitManifest)),
    (14, "coswid", C::Any),
    (15, "dependency-resolution", C::Wrapped(&C::SuitSequence)),
    (16, "payload-fetch", C::Wrapped(&C::SuitSequence)),
    (18, "candidate-verification", C::Wrapped(&C::SuitSequence)),
    (20, "install", C::Wrapped(&C::SuitSequence)),
    (23, "text", C::Wrapped(&C::SuitText)),
];

const SUIT_MANIFEST: &[Row] = &[
    (1, "manifest-version", C::Any),
    (2, "manifest-sequence-number", C::Any),
    (3, "common", C::Wrapped(&C::SuitCommon)),
    (4, "reference-uri", C::Any),
    (5, "manifest-component-id", C::ComponentId),
    (6, "set-version", C::Any),
    (7, "validate", C::Wrapped(&C::SuitSequence)),
    (8, "load", C::Wrapped(&C::SuitSequence)),
    (9, "invoke", C::Wrapped(&C::SuitSequence)),
    (14, "coswid", C::SuitDigest),
    (15, "dependency-resolution", C::Wrapped(&C::SuitSequence)),
    (16, "payload-fetch", C::Wrapped(&C::SuitSequence)),
    (18, "candidate-verification", C::Wrapped(&C::SuitSequence)),
    (20, "install", C::Wrapped(&C::SuitSequence)),
    (23, "text", C::Wrapped(&C::SuitText)),
    (24, "uninstall", C::Wrapped(&C::SuitSequence)),
];

const SUIT_COMMON: &[Row] = &[
    (1, "dependencies", C::Any),
    (2, "components", C::Each(&C::ComponentId)),
    (4, "shared-sequence", C::Wrapped(&C::SuitSequence)),
];

const SUIT_PARAMETERS: &[Row] = &[
    (1, "vendor-identifier", C::Any),
    (2, "class-identifier", C::Any),
    (3, "image-digest", C::Wrapped(&C::SuitDigest)),
    (4, "use-before", C::Any),
    (5, "component-slot", C::Any),
    (12, "strict-order", C::Any),
    (13, "soft-failure", C::Any),
    (14, "image-size", C::Any),
    (18, "content", C::Any),
    (19, "encryption-info", C::Wrapped(&C::Guess)),
    (21, "uri", C::Any),
    (22, "source-component", C::Any),
    (23, "invoke-args", C::Any),
    (24, "device-identifier", C::Any),
    (25, "fetch-arguments", C::Any),
    (26, "minimum-battery", C::Any),
    (27, "update-priority", C::Any),
    (28, "version", C::Any),
    (29, "wait-info", C::Any),
    (30, "component-metadata", C::Any),
];

const SUIT_COMMANDS: &[Row] = &[
    (1, "condition-vendor-identifier", C::Any),
    (2, "condition-class-identifier", C::Any),
    (3, "condition-image-match", C::Any),
    (4, "condition-use-before", C::Any),
    (5, "condition-component-slot", C::Any),
    (6, "condition-check-content", C::Any),
    (7, "condition-dependency-integrity", C::Any),
    (8, "condition-is-dependency", C::Any),
    (11, "directive-process-dependency", C::Any),
    (12, "directive-set-component-index", C::Any),
    (14, "condition-abort", C::Any),
    (15, "directive-try-each", C::Each(&C::Wrapped(&C::SuitSequence))),
    (18, "directive-write", C::Any),
    (19, "directive-set-parameters", C::SuitParameters),
    (20, "directive-override-parameters", C::SuitParameters),
    (21, "directive-fetch", C::Any),
    (22, "directive-copy", C::Any),
    (23, "directive-invoke", C::Any),
    (24, "condition-device-identifier", C::Any),
    (25, "condition-image-not-match", C::Any),
    (26, "condition-minimum-battery", C::Any),
    (27, "condition-update-authorized", C::Any),
    (28, "condition-version", C::Any),
    (29, "directive-wait", C::Any),
    (31, "directive-swap", C::Any),
    (32, "directive-run-sequence", C::Wrapped(&C::SuitSequence)),
    (33, "directive-unlink", C::Any),
    (34, "directive-override-multiple", C::Any),
    (35, "directive-copy-params", C::Any),
];

const SUIT_REPORT: &[Row] = &[
    (2, "nonce", C::Any),
    (3, "records", C::Each(&C::SuitRecord)),
    (4, "result", C::Any),
    (5, "result-code", C::Any),
    (6, "result-record", C::SuitRecord),
    (7, "result-reason", C::Any),
    (8, "capability-report", C::Any),
    (99, "reference", C::Any),
];

const COSE_SIGN1: &[(&str, Context)] = &[
    ("protected", C::Wrapped(&C::CoseHeader)),
    ("unprotected", C::CoseHeader),
    ("payload", C::CosePayload),
    ("signature", C::Any),
];
const COSE_MAC0: &[(&str, Context)] = &[
    ("protected", C::Wrapped(&C::CoseHeader)),
    ("unprotected", C::CoseHeader),
    ("payload", C::CosePayload),
    ("tag", C::Any),
    ("recipients", C::Each(&C::CoseEncrypt)),
];
const COSE_SIGN: &[(&str, Context)] = &[
    ("protected", C::Wrapped(&C::CoseHeader)),
    ("unprotected", C::CoseHeader),
    ("payload", C::CosePayload),
    ("signatures", C::Each(&C::CoseSignature)),
];
const COSE_SIGNATURE: &[(&str, Context)] =
    &[("protected", C::Wrapped(&C::CoseHeader)), ("unprotected", C::CoseHeader), ("signature", C::Any)];
const COSE_ENCRYPT: &[(&str, Context)] = &[
    ("protected", C::Wrapped(&C::CoseHeader)),
    ("unprotected", C::CoseHeader),
    ("ciphertext", C::Any),
    ("recipients", C::Each(&C::CoseEncrypt)),
];

const COSE_HEADER: &[Row] = &[
    (1, "alg", C::Algorithm),
    (2, "crit", C::Any),
    (3, "content-type", C::Any),
    (4, "kid", C::Any),
    (5, "IV", C::Any),
    (6, "partial-IV", C::Any),
    (33, "x5chain", C::Any),
    (34, "x5t", C::Any),
    (35, "x5u", C::Any),
    (-1, "ephemeral-key", C::CoseKey),
    (-20, "salt", C::Any),
];

const COSE_KEY: &[Row] = &[
    (1, "kty", C::Any),
    (2, "kid", C::Any),
    (3, "alg", C::Algorithm),
    (4, "key-ops", C::Any),
    (-1, "crv", C::Any),
    (-2, "x", C::Any),
    (-3, "y", C::Any),
];

const ALGORITHMS: &[(i128, &str)] = &[
    (-7, "ES256, deprecated"),
    (-8, "EdDSA, deprecated"),
    (-9, "ESP256"),
    (-19, "Ed25519"),
    (-16, "SHA-256"),
    (-43, "SHA-384"),
    (-44, "SHA-512"),
    (-18, "SHAKE128"),
    (-45, "SHAKE256"),
    (-3, "A128KW"),
    (-4, "A192KW"),
    (-5, "A256KW"),
    (-29, "ECDH-ES+A128KW"),
    (-35, "ES384"),
    (-36, "ES512"),
    (-46, "HSS-LMS"),
    (1, "A128GCM"),
    (3, "A256GCM"),
    (5, "HMAC 256/256"),
    (24, "ChaCha20/Poly1305"),
];

const EAT_CLAIMS: &[Row] = &[
    (1, "iss", C::Any),
    (2, "sub", C::Any),
    (3, "aud", C::Any),
    (4, "exp", C::Any),
    (5, "nbf", C::Any),
    (6, "iat", C::Any),
    (7, "cti", C::Any),
    (8, "cnf", C::Confirmation),
    (10, "eat_nonce", C::Any),
    (256, "ueid", C::Any),
    (257, "sueids", C::Any),
    (258, "oemid", C::Any),
    (259, "hwmodel", C::Any),
    (260, "hwversion", C::Any),
    (261, "uptime", C::Any),
    (262, "oemboot", C::Any),
    (263, "dbgstat", C::Any),
    (264, "location", C::Any),
    (265, "eat_profile", C::Any),
    (266, "submods", C::Any),
    (270, "swname", C::Any),
    (271, "swversion", C::Any),
    (272, "manifests", C::Any),
    (273, "measurements", C::Any),
    (274, "measres", C::Any),
];

const CONFIRMATION: &[Row] =
    &[(1, "COSE_Key", C::CoseKey), (3, "kid", C::Any), (5, "thumbprint (ckt)", C::Any)];
