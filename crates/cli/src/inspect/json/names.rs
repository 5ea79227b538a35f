//! What the members mean where they stand. One table per structure; a row is name, what it is, and the kind of its value.

/// What a value is, which says how it is unfolded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As it is written.
    Any,
    /// An object with one of the members of [`MESSAGES`].
    Message,
    /// An object with these members.
    Members(&'static [Row]),
    /// An array whose elements are all of this kind.
    Each(&'static Kind),
    /// Base64 of something, in whichever alphabet.
    Base64(Content),
    /// Hexadecimal of something.
    Hex(Content),
    /// Base64 of the JSON object of a protected header.
    Protected,
    /// A JWS whose payload is of this kind.
    Jws(&'static Kind),
    /// A JWE, or what would be in one.
    Jwe(&'static Kind),
    /// A JWK.
    Jwk,
    /// A string that names an error.
    ErrorCode,
}

/// What a binary value holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing to be said about it.
    Bytes,
    /// A SHA-256 digest.
    Sha256,
    /// A certificate in DER.
    Certificate,
    /// A public key in one of the forms of OTrP.
    PublicKey,
    /// An OCSP response in DER.
    Ocsp,
    /// UTF-8 text.
    Text,
    /// EAT Evidence in CBOR.
    Evidence,
}

/// A member: name, what it is, kind of its value.
pub type Row = (&'static str, &'static str, Kind);

use Content as B;
use Kind as K;

const CERTIFICATE: K = K::Base64(B::Certificate);
const SIG_ALGS: K = K::Each(&K::Any);

/// The row of a member.
pub fn member(rows: &'static [Row], name: &str) -> Option<&'static Row> {
    rows.iter().find(|row| row.0 == name)
}

/// The OTrP messages and other objects that are known by the name of their only member.
pub const MESSAGES: &[Row] = &[
    ("GetDeviceStateRequest", "OTrP 9.1.1, signed by the TAM", K::Jws(&K::Message)),
    ("GetDeviceStateTBSRequest", "OTrP 9.1.1", K::Members(TBS)),
    (
        "GetDeviceStateResponse",
        "OTrP 9.1.6, put together by the Broker: one part for each TEE",
        K::Each(&K::Message),
    ),
    ("GetDeviceTEEStateResponse", "OTrP 9.1.6, signed by the TEE", K::Jws(&K::Message)),
    ("GetDeviceTEEStateTBSResponse", "OTrP 9.1.6", K::Members(TBS)),
    ("CreateSDRequest", "OTrP 9.2.1, signed by the TAM", K::Jws(&K::Message)),
    ("CreateSDTBSRequest", "OTrP 9.2.1", K::Members(TBS)),
    ("CreateSDResponse", "OTrP 9.2.1, signed by the TEE", K::Jws(&K::Message)),
    ("CreateSDTBSResponse", "OTrP 9.2.1", K::Members(TBS)),
    ("UpdateSDRequest", "OTrP 9.2.2, signed by the TAM", K::Jws(&K::Message)),
    ("UpdateSDTBSRequest", "OTrP 9.2.2", K::Members(TBS)),
    ("UpdateSDResponse", "OTrP 9.2.2, signed by the TEE", K::Jws(&K::Message)),
    ("UpdateSDTBSResponse", "OTrP 9.2.2", K::Members(TBS)),
    ("DeleteSDRequest", "OTrP 9.2.3, signed by the TAM", K::Jws(&K::Message)),
    ("DeleteSDTBSRequest", "OTrP 9.2.3", K::Members(TBS)),
    ("DeleteSDResponse", "OTrP 9.2.3, signed by the TEE", K::Jws(&K::Message)),
    ("DeleteSDTBSResponse", "OTrP 9.2.3", K::Members(TBS)),
    ("InstallTARequest", "OTrP 9.3.1, signed by the TAM", K::Jws(&K::Message)),
    ("InstallTATBSRequest", "OTrP 9.3.1", K::Members(TBS)),
    ("InstallTAResponse", "OTrP 9.3.1, signed by the TEE", K::Jws(&K::Message)),
    ("InstallTATBSResponse", "OTrP 9.3.1", K::Members(TBS)),
    ("UpdateTARequest", "OTrP 9.3.2, signed by the TAM", K::Jws(&K::Message)),
    ("UpdateTATBSRequest", "OTrP 9.3.2", K::Members(TBS)),
    ("UpdateTAResponse", "OTrP 9.3.2, signed by the TEE", K::Jws(&K::Message)),
    ("UpdateTATBSResponse", "OTrP 9.3.2", K::Members(TBS)),
    ("DeleteTARequest", "OTrP 9.3.3, signed by the TAM", K::Jws(&K::Message)),
    ("DeleteTATBSRequest", "OTrP 9.3.3", K::Members(TBS)),
    ("DeleteTAResponse", "OTrP 9.3.3, signed by the TEE", K::Jws(&K::Message)),
    ("DeleteTATBSResponse", "OTrP 9.3.3", K::Members(TBS)),
    ("dsi", "device state information, OTrP 9.1.5", K::Members(DSI)),
    ("TAQuery", "OTrP 6.4.2, a normal app's question", K::Members(TA_QUERY)),
    ("TAInformation", "OTrP 6.4.2, signed with the provider's anonymous key (AIK)", K::Jws(&K::Message)),
    ("TAInformationTBS", "OTrP 6.4.2", K::Members(TA_INFORMATION)),
    ("OTrPBrokerError", "OTrP 10, by the Broker: not signed, a hint and no proof", K::Members(BROKER_ERROR)),
    (
        "TEESPAIKS",
        "the providers' anonymous keys (AIKs), signed by the TAM for normal apps",
        K::Members(AIKS),
    ),
];

const TBS: &[Row] = &[
    ("ver", "version", K::Any),
    ("status", "pass or fail", K::Any),
    ("rid", "id of this request", K::Any),
    ("tid", "transaction, and challenge of the firmware", K::Any),
    ("tee", "name of the TEE, by which the Broker routes", K::Any),
    ("nextdsi", "whether the answer shall tell the state", K::Any),
    ("dsihash", "state that the TAM goes by", K::Base64(B::Sha256)),
    ("ocspdat", "stapled OCSP responses of the TAM's chain", K::Each(&K::Base64(B::Ocsp))),
    ("icaocspdat", "not of OTrP any more", K::Each(&K::Base64(B::Ocsp))),
    ("supportedsigalgs", "signatures that the sender verifies", SIG_ALGS),
    ("signerreq", "whether the TAM shall repeat its chain", K::Any),
    ("edsi", "device state information", K::Jwe(&K::Message)),
    ("reason", "why it failed", K::Members(REASON)),
    ("content", "what is between TAM and TEE alone", K::Jwe(&K::Members(CONTENT))),
    ("encrypted_ta", "TA, encrypted to the provider's key in the TEE", K::Members(ENCRYPTED_TA)),
    ("encrypted_ta_bin", "TA, encrypted to the provider's key in the TEE", K::Members(ENCRYPTED_TA)),
    ("encrypted_ta_data", "personalization data, encrypted likewise", K::Members(ENCRYPTED_TA)),
];

const CONTENT: &[Row] = &[
    ("reason", "why it failed", K::Members(REASON)),
    ("tamid", "who the TAM says it is", K::Any),
    ("spid", "service provider", K::Any),
    ("sdname", "Security Domain", K::Any),
    ("spcert", "certificate that signs TAs", K::Each(&CERTIFICATE)),
    ("did", "SHA-256 of the TEE's certificate", K::Base64(B::Sha256)),
    ("taid", "Trusted Application", K::Any),
    ("deleteta", "whether TAs go with it", K::Any),
    ("changes", "what shall change", K::Members(CHANGES)),
    ("teespaik", "the provider's key in the TEE", K::Base64(B::PublicKey)),
    ("teespaiktype", "its type", K::Any),
    ("cert", "the TEE's certificate", CERTIFICATE),
    ("dsi", "device state information", K::Members(DSI)),
];

const CHANGES: &[Row] = &[
    ("newsdname", "new name", K::Any),
    ("newspid", "new provider", K::Any),
    ("spcert", "signers to add", K::Each(&CERTIFICATE)),
    ("deloldspcert", "signers to take away", K::Each(&K::Hex(B::Sha256))),
    ("renewteespaik", "whether the provider's key is made anew", K::Any),
];

const ENCRYPTED_TA: &[Row] = &[
    ("key", "key of the TA's encryption", K::Jwe(&K::Any)),
    ("iv", "initialization vector", K::Hex(B::Bytes)),
    ("alg", "how the TA is encrypted", K::Any),
    ("ciphertadata", "the TA", K::Base64(B::Bytes)),
    ("cipherpdata", "personalization data", K::Base64(B::Bytes)),
    ("ciphernewtadata", "the new TA", K::Base64(B::Bytes)),
    ("ciphernewpdata", "new personalization data", K::Base64(B::Bytes)),
    ("cipherdata", "what is encrypted", K::Base64(B::Bytes)),
];

const REASON: &[Row] = &[("error-code", "", K::ErrorCode), ("error-message", "words for people", K::Any)];

const DSI: &[Row] =
    &[("tfwdata", "what the trusted firmware signed", K::Members(TFW)), ("tee", "the TEE", K::Members(TEE))];

const TFW: &[Row] = &[
    ("tbs", "what is signed: the transaction", K::Base64(B::Text)),
    ("cert", "the firmware's certificate", CERTIFICATE),
    ("sigalg", "how it is signed", K::Any),
    ("sig", "signature of the firmware", K::Base64(B::Bytes)),
];

const TEE: &[Row] = &[
    ("name", "by which the Broker routes", K::Any),
    ("ver", "version", K::Any),
    ("cert", "the TEE's certificate", CERTIFICATE),
    ("cacert", "the authorities above it", K::Each(&CERTIFICATE)),
    ("sdlist", "Security Domains of this TAM", K::Members(SD_LIST)),
    ("teeaiklist", "keys of this TAM's providers", K::Each(&K::Members(AIK))),
    ("epoch", "rises with every state told", K::Any),
    ("ext", "extensions that the TEE knows", K::Each(&K::Any)),
    ("eat", "Evidence of the platform (EAT)", K::Base64(B::Evidence)),
    ("requestedtalist", "TAs that apps have asked for", K::Each(&K::Members(LISTED_TA))),
    ("unneededtalist", "TAs that no app needs any more", K::Each(&K::Members(LISTED_TA))),
];

const SD_LIST: &[Row] = &[("cnt", "how many", K::Any), ("sd", "", K::Each(&K::Members(SD)))];

const SD: &[Row] = &[
    ("name", "Security Domain", K::Any),
    ("spid", "service provider", K::Any),
    ("spcert", "signers", K::Each(&K::Hex(B::Sha256))),
    ("talist", "Trusted Applications", K::Each(&K::Members(LISTED_TA))),
];

const LISTED_TA: &[Row] = &[
    ("taid", "Trusted Application", K::Any),
    ("taname", "its name for people", K::Any),
    ("sdname", "Security Domain", K::Any),
    ("digest", "SHA-256 of its manifest", K::Base64(B::Sha256)),
    ("seq", "sequence number of its manifest", K::Any),
];

const AIK: &[Row] = &[
    ("spaik", "public key", K::Base64(B::PublicKey)),
    ("spaiktype", "its type", K::Any),
    ("spid", "service provider", K::Any),
    ("use", "sig or enc", K::Any),
    ("jwk", "public key", K::Jwk),
];

const AIKS: &[Row] = &[
    ("tamid", "the TAM", K::Any),
    ("iat", "made, seconds since 1970", K::Any),
    ("exp", "holds until, seconds since 1970", K::Any),
    ("aiks", "", K::Each(&K::Members(AIK))),
];

const TA_QUERY: &[Row] = &[
    ("spid", "service provider", K::Any),
    ("taid", "Trusted Application", K::Any),
    ("nonce", "to be signed with the answer", K::Any),
];

const TA_INFORMATION: &[Row] = &[
    ("taid", "Trusted Application", K::Any),
    ("tamid", "the TAM that installed it", K::Any),
    ("spid", "service provider", K::Any),
    ("signercert", "who signed the TA", CERTIFICATE),
    ("signercacerts", "the authorities above it", K::Each(&CERTIFICATE)),
    ("cacert", "not of OTrP, printed there by mistake", K::Each(&CERTIFICATE)),
    ("tamcert", "the TAM's certificate", CERTIFICATE),
    ("tamcacerts", "the authorities above it", K::Each(&CERTIFICATE)),
    ("nonce", "of the question", K::Any),
    ("digest", "SHA-256 of its manifest", K::Base64(B::Sha256)),
    ("seq", "sequence number of its manifest", K::Any),
];

const BROKER_ERROR: &[Row] = &[
    ("ver", "version", K::Any),
    ("rid", "id of the request", K::Any),
    ("tid", "transaction", K::Any),
    ("errcode", "", K::ErrorCode),
];

/// Members of JOSE headers (RFC 7515, 7516, 7518).
pub const JOSE_HEADER: &[Row] = &[
    ("alg", "algorithm", K::Any),
    ("enc", "encryption of the content", K::Any),
    ("epk", "ephemeral key of the sender", K::Jwk),
    ("apu", "info of the sender", K::Base64(B::Bytes)),
    ("apv", "info of the recipient", K::Base64(B::Bytes)),
    ("kid", "key id", K::Any),
    ("typ", "type", K::Any),
    ("cty", "type of the content", K::Any),
    ("jwk", "the sender's own word about its key", K::Jwk),
    ("signer", "the sender's own word about its key", K::Jwk),
    ("x5c", "certificates, leaf first", K::Each(&CERTIFICATE)),
    ("x5t#S256", "SHA-256 of the leaf", K::Base64(B::Sha256)),
];

/// Members of keys (RFC 7517, 7518).
pub const JWK: &[Row] = &[
    ("kty", "type", K::Any),
    ("crv", "curve", K::Any),
    ("x", "", K::Base64(B::Bytes)),
    ("y", "", K::Base64(B::Bytes)),
    ("n", "modulus", K::Base64(B::Bytes)),
    ("e", "exponent", K::Base64(B::Bytes)),
    ("k", "SECRET KEY", K::Base64(B::Bytes)),
    ("d", "PRIVATE KEY", K::Base64(B::Bytes)),
    ("use", "sig or enc", K::Any),
    ("alg", "algorithm", K::Any),
    ("kid", "key id", K::Any),
    ("x5c", "certificates, leaf first", K::Each(&CERTIFICATE)),
    ("x5t#S256", "SHA-256 of the leaf", K::Base64(B::Sha256)),
];

/// Objects that only `--as` tells apart.
pub const DSI_ITSELF: K = K::Members(DSI);
/// The payload of a JWS or content of a JWE of which nothing is known.
pub const UNKNOWN: K = K::Message;
