use core::fmt;

/// A stable error code, printed as `TMK-nnnn`. The first digit says where: 0 input and command line, 1 wire formats and
/// COSE, 2 SUIT, 3 attestation, 4 TAM and store, 5 device and TA, 6 OTrP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TMK-{:04}", self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Code {
    /// The row of [`CODES`] that explains this code.
    pub fn info(self) -> Option<&'static CodeInfo> {
        CODES.iter().find(|row| row.code == self)
    }

    /// Reads `TMK-nnnn`, `tmk-nnnn` or `nnnn`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.get(..4).filter(|p| p.eq_ignore_ascii_case("TMK-")).map_or(text, |_| &text[4..]);
        digits.parse().ok().filter(|_| digits.len() == 4).map(Code)
    }
}

/// What `tamarack explain` prints of a code.
#[derive(Debug)]
pub struct CodeInfo {
    /// The code.
    pub code: Code,
    /// Its name in this crate's [`codes`] module.
    pub name: &'static str,
    /// One line: what happened.
    pub title: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What to do about it.
    pub fix: &'static str,
}

macro_rules! table {
    ($($(#[$m:meta])* $name:ident = $n:literal, $title:literal, $cause:literal, $fix:literal;)*) => {
        /// Every code by name.
        pub mod codes {
            use super::Code;
            $(#[doc = $title] pub const $name: Code = Code($n);)*
        }

        /// Every code with its explanation, in ascending order.
        pub const CODES: &[CodeInfo] = &[
            $(CodeInfo { code: Code($n), name: stringify!($name), title: $title, cause: $cause, fix: $fix },)*
        ];
    };
}

table! {
    // 0xxx: input and command line.
    USAGE = 1, "The command line is not understood", "An option or argument is missing, unknown or contradicts another.", "Run the command with --help; each option says what it takes.";
    FILE_UNREADABLE = 2, "A file cannot be read", "It does not exist, is not a regular file, or this user may not read it.", "Check the path and the permissions of the file and of the folders above it.";
    FILE_UNWRITABLE = 3, "A file or folder cannot be written", "The folder is missing or read-only, or the disk is full.", "Check the folder's permissions and the free space.";
    CONFIG_INVALID = 4, "A configuration file is wrong", "A key is unknown, missing or has a value of the wrong kind.", "The message names file, key and the expected value.";
    PORT_IN_USE = 5, "The address is already in use", "Another process listens on this address and port.", "Stop that process or pick another --listen address.";
    PEM_INVALID = 6, "A PEM file does not hold what is needed", "The label or the encoding inside is not the expected one.", "Keys are PKCS#8 ('PRIVATE KEY'), public keys 'PUBLIC KEY', certificates 'CERTIFICATE'.";
    INTERNAL = 99, "Something that must not happen happened", "A defect of this program.", "Please report it with the command line and the message.";

    // 1xxx: wire formats and COSE.
    CBOR_MALFORMED = 1001, "The bytes are not well-formed CBOR", "They are truncated, use a reserved encoding, or hold more than one item.", "`tamarack inspect` shows the position.";
    CBOR_NOT_DETERMINISTIC = 1002, "The CBOR is not deterministically encoded", "An integer or length is longer than needed, a length is indefinite, or a map key is repeated.", "Encode by RFC 8949 section 4.2.";
    CBOR_LIMIT = 1003, "The CBOR exceeds a limit", "It is larger, deeper nested or has more items than the receiver allows.", "Send less, or raise the receiver's limit.";
    WIRE_TYPE = 1004, "A message element has the wrong type or size", "An element that the message's definition fixes has another type, size or range.", "Compare with the message definition; the error names the element and position.";
    COSE_MALFORMED = 1101, "The COSE object is malformed", "It is not one of the COSE structures of RFC 9052, or a header is mistyped or stands twice.", "Check the producer; `tamarack inspect` shows the structure.";
    COSE_ALGORITHM = 1102, "The algorithm is not accepted", "It is unknown, deprecated (such as ES256 -7 without the legacy switch), missing from the protected header, or does not fit the key.", "Sign with ESP256 (-9) or Ed25519 (-19); encrypt with A128GCM (1) by ECDH-ES+A128KW (-29) or A128KW (-3).";
    COSE_SIGNATURE = 1103, "The signature does not verify", "The bytes were changed, or another key signed them.", "Check which key signed and that nothing re-encoded the object.";
    COSE_KEY_UNKNOWN = 1104, "No trusted key fits this signature", "The key id names none of the trusted keys, or a trusted key serves another purpose.", "Add the signer's key as an anchor for this purpose.";
    COSE_CRITICAL = 1105, "A critical header is not understood", "The crit header lists a label that this receiver does not implement.", "Leave the header out or use a receiver that knows it.";
    COSE_DECRYPT = 1106, "The message cannot be decrypted", "It is encrypted to another key, or it was changed on the way. Which of the two is not told, so that nobody learns from the answers.", "Encrypt to the key that the recipient shows now; `tamarack inspect` lists the recipients of a message.";
    X509_PATH = 1201, "The certificate does not chain to a trusted anchor", "No path leads from the certificate to an anchor of this role.", "Send the intermediate certificates, or enrol the root as an anchor for this role.";
    X509_EXPIRED = 1202, "A certificate is outside its validity period", "It has expired or is not valid yet by the receiver's clock.", "Renew the certificate, or check the clock.";
    X509_USAGE = 1203, "A certificate may not be used for this", "basicConstraints, keyUsage or the role's extended key usage does not allow it.", "Issue the certificate with the profile of its role (`tamarack pki`).";
    X509_NAME = 1204, "The certificate does not name exactly one principal", "It has no subject alternative name of the configured type, or several.", "Issue it with exactly one URI name.";
    X509_MALFORMED = 1205, "The certificate cannot be read", "It is not a DER-encoded X.509 version 3 certificate of a supported key type.", "Use P-256 or Ed25519 keys and version 3 certificates.";
    X509_ALGORITHM = 1206, "A key or signature of a certificate is too weak or not supported", "It is RSA below 2,048 bits, uses SHA-1 or MD5, or is of a kind that this program does not check.", "Issue the certificates with P-256 and SHA-256 (`tamarack pki`).";
    X509_REVOKED = 1210, "A certificate is revoked", "Its issuer says so in an OCSP response or a revocation list.", "Issue a new key and certificate; a revoked one does not come back.";
    OCSP_MISSING = 1211, "A certificate comes without its status", "No OCSP response or revocation list of its issuer speaks of it, or the issuer does not know it.", "Staple a response for every certificate but the root.";
    OCSP_STALE = 1212, "A certificate status is not of this time", "Its next update has passed by the receiver's clock or time floor, or it begins in the future.", "Fetch a new response, or check the clock.";
    OCSP_UNTRUSTED = 1213, "A certificate status is not signed by whom it should be", "Neither the issuer of the certificate nor a responder certified by it for OCSP signed the response or list.", "Use a responder key with id-kp-OCSPSigning that the issuer itself certified.";
    OCSP_MALFORMED = 1214, "An OCSP message or revocation list cannot be read", "It is not DER as RFC 6960 or RFC 5280 defines it, has a critical extension that is not known, or exceeds a limit.", "`openssl ocsp -respin FILE -resp_text` shows it.";
    OCSP_UNAVAILABLE = 1215, "No good certificate status at hand", "The OCSP responder cannot be reached, answers with an error, or its responses do not hold.", "Start the responder (`tamarack pki ocsp`) or correct ocsp_url in tam.toml; the log has the cause.";
    TEEP_MALFORMED = 1301, "The TEEP message is malformed", "It is not one of the five messages of draft-ietf-teep-protocol-26, or an option is mistyped.", "`tamarack inspect` names the element.";
    TEEP_UNEXPECTED = 1302, "The TEEP message does not fit the state of the exchange", "It arrived out of order, twice, or for another session.", "Start again with a policy check.";
    TEEP_TOKEN = 1303, "The token matches no outstanding request", "It was altered, already used, or has expired.", "Start again with a policy check.";
    TEEP_CIPHER_SUITE = 1304, "No cipher suite in common", "Neither COSE_Sign1 with ESP256 nor with Ed25519 is offered.", "Offer one of the two mandatory suites.";
    TEEP_VERSION = 1305, "No protocol version in common", "The peer offers only versions other than 0.", "Use version 0.";
    TEEP_FRESHNESS = 1306, "No freshness mechanism in common", "The peer does not offer the nonce mechanism.", "Offer freshness mechanism 0 (nonce).";
    TEEP_NOT_BOUND = 1307, "The Update is not bound to this exchange", "It does not echo the Agent's nonce, so it may be a replay or belong to another device.", "Answer the QueryResponse that is outstanding.";
    HTTP_BAD_REQUEST = 1401, "The HTTP request is not a TEEP request", "The method, a header or the body is not as draft-ietf-teep-otrp-over-http-15 says.", "POST with Accept and Content-Type application/teep+cbor.";
    HTTP_TOO_LARGE = 1402, "The HTTP body is too large", "It exceeds the message limit (1 MiB by default).", "Use payloads by URI, or raise the limit on both sides.";
    HTTP_PEER = 1403, "The TAM or verifier answered with an error, or not at all", "The HTTP exchange failed: no connection, an error status, a redirect or a wrong content type.", "Check the address and whether the service runs; the message has the status and the service's own code, if it sent one.";
    HTTP_INSECURE = 1404, "Plain HTTP is refused", "The URI is http:// and its host is not a loopback address.", "Use https://, or allow plain HTTP explicitly for tests.";
    JSON_MALFORMED = 1501, "The bytes are not strict JSON", "They are not UTF-8 JSON text, a member stands twice in an object, or something follows the value.", "The message names the position; send what RFC 8259 and RFC 7493 (I-JSON) allow.";
    JSON_LIMIT = 1502, "The JSON exceeds a limit", "It is larger, deeper nested or has more members than the receiver allows.", "Send less, or raise the receiver's limit.";
    JOSE_MALFORMED = 1503, "The JWS, JWE or JWK is malformed", "A member is missing, mistyped or not base64url, or a protected header is not a string.", "Compare with RFC 7515, RFC 7516 and RFC 7517; the message names the member.";
    JOSE_ALGORITHM = 1504, "The JOSE algorithm is not accepted", "It is unknown, `none`, symmetric, missing from the protected header, or does not fit the key.", "Sign with ES256, encrypt with ECDH-ES+A128KW.";
    JOSE_HEADER = 1505, "A JOSE header parameter is refused", "crit, b64, zip, jku, jwk or x5u change what a message means or fetch its key from elsewhere.", "Leave the parameter out.";
    JOSE_SIGNATURE = 1506, "The JWS does not verify", "The bytes were changed, or another key signed them.", "Check which key signed and that nothing re-encoded the object.";
    JOSE_DECRYPTION = 1507, "The JWE does not decrypt", "It was changed or is for another key; which of the two is deliberately not told.", "Encrypt to the receiver's current key.";
    JOSE_RSA1_5 = 1508, "RSA1_5 is refused", "RSAES-PKCS1-v1_5 lets whoever watches errors decrypt messages.", "Encrypt with RSA-OAEP-256 or ECDH-ES+A128KW.";
    JOSE_KEY = 1509, "The key may not be used for this", "It serves another purpose, is too small, or is of a type that this side does not have.", "Use P-256 keys, or RSA keys of 2048 bits and more with the TAM.";

    // 2xxx: SUIT.
    SUIT_MALFORMED = 2001, "The SUIT envelope or manifest is malformed", "An element is missing, mistyped, repeated or out of range.", "`tamarack manifest explain` names the element and position.";
    SUIT_UNAUTHENTICATED = 2002, "The SUIT manifest is not authenticated", "No authentication block verifies with a trusted key, or the digest does not match the manifest.", "Sign the manifest with a key that the device trusts.";
    SUIT_UNAUTHORISED = 2003, "The signer may not do this", "A component, manifest id or operation lies outside the scope of the anchor that verified the signature.", "Sign with the key of the provider that owns the prefix.";
    SUIT_UNSUPPORTED_COMMAND = 2004, "A command or parameter is not supported", "The manifest uses a command or parameter that this device does not implement.", "Use only commands of the device's capability report.";
    SUIT_UNSUPPORTED_COMPONENT = 2005, "A component is not supported", "The device has no place for a component of this id, or there are too many.", "Check the component ids.";
    SUIT_ROLLBACK = 2006, "The sequence number is too low", "A manifest of this id with a higher sequence number was installed before, or the same number with other content.", "Publish with a higher sequence number.";
    SUIT_CONDITION = 2007, "A condition failed", "The device or content is not what the manifest demands, such as another vendor or a digest that does not match.", "The report names the condition and the measured value.";
    SUIT_DIRECTIVE = 2008, "A directive failed", "A fetch, copy, write or another operation could not be carried out.", "The report names the directive.";
    SUIT_LIMIT = 2009, "The manifest exceeds a limit of the device", "It has too many components, commands or nested sequences, or a payload is too large.", "Make it smaller.";
    SUIT_NO_MANIFEST_ID = 2010, "The manifest has no manifest component id", "A root manifest must name itself (label 5), or rollback cannot be prevented.", "Add manifest-component-id.";
    SUIT_NOT_OWNER = 2011, "Another manifest owns a component", "The component was installed by a manifest of another id.", "Use a component id of your own.";

    // 3xxx: attestation.
    EAT_MALFORMED = 3001, "The attestation payload is malformed", "It is not an EAT as the named format defines it, or a required claim is missing.", "Check the attester; `tamarack inspect` shows the claims.";
    EVIDENCE_FORMAT = 3002, "The attestation payload format is not supported", "No verifier is configured for this media type.", "Configure a verifier for it.";
    EVIDENCE_UNTRUSTED = 3003, "The Evidence is not signed by a trusted attester", "Its certificate does not chain to a TEE CA that this TAM lists.", "Add the maker's TEE CA to tee_ca in tam.toml, if you trust it.";
    EVIDENCE_STALE = 3004, "The Evidence is not fresh", "Its nonce is not the one asked for, has expired, or was used before.", "Answer the latest QueryRequest.";
    EVIDENCE_KEY_BINDING = 3005, "The Evidence vouches for another key", "Its cnf claim is not the key that signed the TEEP message.", "Send Evidence made by the TEE that signs.";
    EVIDENCE_POLICY = 3006, "The Evidence does not satisfy the policy", "Grade, model, version or debug state is not accepted.", "The reason names the claim; change the policy or the device.";
    EVIDENCE_ROLLED_BACK = 3007, "The device's state has gone back", "Its state epoch is lower than one it proved before, or forks from it.", "Treat the device as cloned or restored; release it from quarantine only after a look.";
    EVIDENCE_MISSING = 3008, "Attestation is required", "The message carried no Evidence although it was asked for.", "Answer with an attestation payload.";
    REFERENCE_MALFORMED = 3101, "The reference values are malformed", "The file is not a CoRIM, or a member of it has the wrong type or size.", "The message names member and position; make it again with `tamarack reference make`.";
    REFERENCE_UNSIGNED = 3102, "The reference values are not signed", "The CoRIM comes without a COSE_Sign1 around it, so nobody vouches for it.", "Ask the maker for the signed one (application/rim+cose).";
    REFERENCE_UNTRUSTED = 3103, "No provider of reference values signed this", "No key of a configured provider verifies the CoRIM.", "Add the maker's or TA signer's key as a provider of reference values, if you trust it.";
    REFERENCE_SCOPE = 3104, "The provider may not speak of this", "The CoRIM is about an environment or component outside the scope that the operator gave its signer.", "Widen the provider's scope, or ask whoever is responsible to sign it.";
    REFERENCE_UNSUPPORTED = 3105, "The reference values say more than is understood", "A profile, tag, triple or condition is not implemented, and to step over it could mean to trust too much.", "Use CoMID reference values with digests and svn, without a profile or with ours.";
    REFERENCE_EXPIRED = 3106, "The reference values are outside their validity", "The CoRIM or its signature has ended by this clock, or the one that matches has ended or not begun.", "Get a newer CoRIM from its provider, or check the clock.";
    REFERENCE_ROLLBACK = 3107, "The reference values have gone back", "A higher version of this tag was added before, or the floor was raised above it.", "Use the newest CoRIM; a correction needs a higher tag-version.";
    REFERENCE_CONFLICT = 3108, "The reference values contradict others", "The same tag-version has other content, or two providers say different things of the same digest.", "Ask the providers; deactivate the one that is wrong.";
    MEASUREMENT_MISMATCH = 3111, "The device runs something that nobody released", "A measured component has a digest that is not among its reference values.", "Install released software; if it is a new release, add its reference values.";
    MEASUREMENT_UNKNOWN = 3112, "There are no reference values for this", "No active reference value speaks of this device and component.", "Add the maker's reference values.";
    MEASUREMENT_OUTDATED = 3113, "The device runs an outdated release", "The security version of a measured component is below the least that its provider accepts.", "Update the device.";
    RESULT_MALFORMED = 3120, "The Attestation Result is malformed", "It is not a signed EAR, or a member of it has the wrong type or size.", "The message names member and position; `tamarack verifier check` shows an EAR.";
    RESULT_UNTRUSTED = 3121, "No trusted verifier signed this Attestation Result", "No configured verifier's key verifies the EAR.", "Add the verifier's public key, if you trust it; it serves nothing else.";
    RESULT_SCOPE = 3122, "The verifier may not speak of this device", "The EAR is about a maker or model outside the scope that the operator gave the verifier, or names none.", "Widen the verifier's scope, or ask a verifier that is responsible.";
    RESULT_STALE = 3123, "The Attestation Result is not fresh", "It has expired, is older than what is accepted, comes from the future, or was made for another nonce.", "Get a new one for the nonce that was asked for; check the clocks.";
    RESULT_BINDING = 3124, "The Attestation Result is not about who shows it", "It has no cnf, or its cnf is not the key that signed the message around it.", "Show the result that was made for Evidence with this key.";
    RESULT_STATUS = 3125, "The verifier does not affirm the device", "The EAR's status is none, warning or contraindicated, or its grade is below the least that is accepted.", "The reasons say what was found; update the device, or add reference values at the verifier.";
    VERIFIER_UNAVAILABLE = 3126, "The verifier did not answer", "It could not be reached, took too long, or answered with an error.", "Check the address and the verifier's log; the device may try again.";
    VERIFIER_KEY = 3127, "A verifier's key serves something else", "It is the key of a TEE CA, of another verifier, or of a provider of reference values.", "Give the verifier a key of its own: `tamarack pki key`.";
    TPM_QUOTE_MALFORMED = 3130, "The TPM quote is malformed", "It is not a TPMS_ATTEST or TPMT_SIGNATURE of TPM 2.0 Library Part 2, or something follows it.", "Send exactly what TPM2_Quote gave; the reason names the byte.";
    TPM_QUOTE_TYPE = 3131, "What the TPM signed is no quote", "It is another attestation (of a key, of the time), or bytes that no TPM generated.", "Use TPM2_Quote with a restricted signing key.";
    TPM_QUOTE_SIGNATURE = 3132, "The TPM quote is not signed by the attestation key", "It was edited, another key signed it, or it is not ECDSA P-256 with SHA-256.", "Quote with the key that the TEE CA certified.";
    TPM_QUOTE_STALE = 3133, "The TPM quote is not bound to this exchange", "Its qualifying data is not the hash of this nonce and key: it is a replay.", "Ask the TPM for a quote with the qualifying data of the answer at hand.";
    TPM_PCR_DIGEST = 3134, "The PCR values are not those that were quoted", "Their digest or selection is not the one in the quote, or they are not of the SHA-256 bank.", "Read the PCRs and quote them without an extend in between.";
    TPM_PCR_LAUNCHER = 3135, "The TPM measured another Agent or configuration", "PCR 23 does not hold the Agent and configuration that the claims tell.", "Start the device again; if it stays, its Agent was replaced.";
    TPM_QUOTE_MISSING = 3136, "The Evidence tells of a TPM without its quote", "root-secret or counter-quality is tpm, and the submodule tpm is missing.", "Use a launcher that quotes.";

    // 4xxx: TAM and store.
    API_UNAUTHENTICATED = 4001, "The request carries no valid token", "The bearer token is missing, unknown or revoked.", "Send Authorization: Bearer with a token made by `tamarack tam init` or `tamarack tam token`.";
    API_FORBIDDEN = 4002, "The token's role does not allow this", "The role (operator, provider, auditor) or the tenant does not fit.", "Use a token of the right role.";
    API_INVALID = 4003, "The request is not valid", "A field is missing, mistyped or out of range.", "The message names the field.";
    API_NOT_FOUND = 4004, "There is no such thing", "The id in the path names nothing in this tenant.", "List what there is.";
    API_CONFLICT = 4005, "The request conflicts with what there is", "The same name or sequence number exists with other content.", "Choose another name or a higher sequence number.";
    PUBLISH_UNSIGNED = 4006, "The envelope is not signed by this provider", "No registered signer of the provider verifies it.", "Sign with the key that was registered for the provider.";
    PUBLISH_PREFIX = 4007, "The component lies outside the provider's prefixes", "A component or the manifest id does not begin with a prefix that was registered for the provider.", "Use your own prefix, or ask the operator to register it.";
    PUBLISH_ROLLBACK = 4008, "The sequence number was used before", "The catalogue holds the same or a higher sequence number of this manifest.", "Raise sequence-number.";
    PUBLISH_PAYLOAD = 4009, "An integrated payload does not match its digest", "The payload in the envelope is not what the manifest's image-digest says.", "Pack again.";
    STORE_FAILED = 4010, "The store failed", "The database cannot be read or written.", "Check disk space and permissions; the log has the cause.";
    OVERLOADED = 4011, "Too many requests", "The service sheds load before it does anything that costs more.", "Try again after the time in Retry-After.";
    DEVICE_QUARANTINED = 4012, "The device is in quarantine", "Its state forked or went back.", "An operator can release it.";
    RELEASE_POLICY_INVALID = 4020, "The release policy cannot be read", "It is not an expression of CEL.", "The message names line and column.";
    RELEASE_POLICY_NAME = 4021, "The release policy names what does not exist", "A variable, field or function in it is unknown.", "The message names line and column; docs/release-policy.md lists what a policy sees.";
    RELEASE_POLICY_LIMIT = 4022, "The release policy is beyond a limit", "It is too long, nested too deeply, or could run too long.", "Make it shorter; the message names the limit.";
    RELEASE_POLICY_TIME = 4023, "The release policy ran too long", "It was cut off, and what it would have said is not known.", "Make it simpler.";
    RELEASE_POLICY_FAILED = 4024, "The release policy failed", "Its evaluation ended in an error, such as a claim that the device did not make.", "Ask with has(..) before using a claim; `tamarack policy test` shows the error.";
    RELEASE_POLICY_RESULT = 4025, "The release policy gave no decision", "Its result is neither a bool nor a map of allow (bool) and reason (string).", "Let it give one of these.";
    RELEASE_DENIED = 4026, "The release policy denies this", "The tenant's policy does not release the component to this device.", "The reason names what the policy asks for; `tamarack policy test` shows it.";
    RELEASE_UNKNOWN = 4027, "There is nothing to decide by", "No appraisal of the device is recorded, or this TAM has no rules for release policies.", "Let the device prove itself again.";
    REFERENCE_PROVIDER = 4028, "The provider of reference values cannot be taken", "Its name, keys or scope are missing, or belong to somebody else.", "The message names the field.";
    NOT_PERMITTED = 4030, "The permission matrix does not allow this", "The role of the caller, such as a normal app on the Broker's socket, may not do this.", "`tamarack explain permissions` shows who may.";

    // 5xxx: device and TA.
    TEE_STORAGE = 5001, "The TEE's sealed storage failed", "It cannot be written, or was altered or made with another root secret.", "Check the disk; a storage that was altered must be enrolled again.";
    TEE_SANDBOX = 5002, "A sandbox layer is missing", "The kernel or container refuses a layer of isolation and --require-sandbox was given.", "The message names the layer.";
    TEE_CHANNEL = 5003, "The channel to the TEE broke", "The TEE process ended or sent something that is not a frame.", "Start the device again; its log has the cause.";
    TA_NOT_FOUND = 5004, "No such TA is installed", "No installed component has this UUID and the caller's binding.", "Request the TA first.";
    TA_INVALID = 5005, "The TA cannot be loaded", "It is not valid WebAssembly for this interface, or imports what does not exist.", "Build it with the SDK; `tamarack ta test` shows the cause.";
    TA_UNAUTHORISED = 5006, "The TA may not start", "Its record, digest, anchor or manifest does not hold any more.", "Install it again from an authorised signer.";
    TA_PANIC = 5007, "The TA stopped abnormally", "It trapped, ran out of fuel or memory, or used a bad pointer.", "See the TA's log.";
    TA_ERROR = 5008, "The TA answered with an error", "The TA itself refused the command.", "The return code is the TA's own, GlobalPlatform names where they apply.";
    TA_BAD_PARAMETERS = 5009, "The parameters do not fit the call", "Types or sizes of the parameters are not what the interface allows.", "At most four parameters; see docs/ta-abi.md.";
    TA_QUOTA = 5010, "The TA exceeded its quota", "Storage, object count or session count reached its limit.", "Delete what is not needed.";
    TAM_NOT_TRUSTED = 5011, "The TAM is not trusted by this device", "No trust anchor of the device verifies the TAM's signature.", "Enrol the TAM's anchor with the device.";
    DEVICE_BUSY = 5012, "Another exchange is in progress", "The Agent handles one exchange at a time.", "Try again when it has ended.";
    TEE_LAUNCHER = 5013, "The TEE's launcher refused or failed", "The process that holds the root of trust did not do what the Agent needs.", "The message says what; start the device again.";
    TEE_NO_PANEL = 5014, "Nobody can be asked at the device", "The device has no panel, none is connected to it, or the one that is has the user that normal apps have.", "Start it with --panel, and `tamarack panel` at the other end as a user that is not the Broker's.";
    OWNER_REFUSED = 5020, "The device owner refuses this", "A rule of the device's owner denies the TAM, the provider or the component.", "`tamarack owner show` lists the rules; only the owner's key changes them.";
    OWNER_DEFERRED = 5021, "This waits for the device owner's consent", "A rule of the device's owner wants every installation of this kind to be approved.", "`tamarack owner approve`; it is installed at the next policy check after that.";
    OWNER_ORDER = 5022, "The owner's order is not accepted", "It is not signed by the owner's key, answers no question of this device, was used before, or says something that cannot be.", "The message names what; each order is made for one device and one time.";
    OWNER_NONE = 5023, "The device has no owner", "It was made without the key of an owner, so nobody can give it rules.", "Make the device with `tamarack agent init --owner KEY.pub`.";
    PACKAGE_INVALID = 5024, "The app package cannot be read", "It is no folder or tar archive with a dependency file as docs/app-packages.md has it, or it exceeds a limit.", "The message names the part; `tamarack app pack` makes packages.";
    PACKAGE_UNMET = 5025, "A TA that the app needs cannot be had", "No TAM brings it, or none in a version that the app accepts.", "The message names the TA and what came of each TAM.";
    BUNDLE_REFUSED = 5026, "The bundled TA is not the one that the TAM grants", "Its digest is not the one in the manifest that the TAM sent: it was altered, or the TAM has another version.", "Use the provider's own package, or install with --no-bundle, which downloads the TA.";
    TPM_UNAVAILABLE = 5040, "The TPM cannot be used", "It cannot be reached, another process uses it, its owner has set a password, or it refused a command.", "The message has the command and the response code; give /dev/tpmrm0 rather than /dev/tpm0.";
    TPM_SEALED = 5041, "The TPM does not release the root secret", "This is another TPM, or the machine was booted by something else, or the Agent is another program than the secret was sealed to.", "Boot what was sealed to; before an update of the Agent run `tamarack agent reseal`.";

    // 60xx: OTrP. 6001 to 6020 are the codes of the draft, one each; then what is found on one's own side.
    OTRP_DEV_STATE_MISMATCH = 6001, "ERR_DEV_STATE_MISMATCH: the device's state is not the one the TAM knows", "The dsihash is not that of the last DSI told to this TAM, or something changed since.", "Nothing to do: the TAM asks for the state again and plans anew.";
    OTRP_SD_ALREADY_EXISTS = 6002, "ERR_SD_ALREADY_EXISTS: the Security Domain exists", "The TAM has a Security Domain of this name on the device already.", "Use the one there is, or another name.";
    OTRP_SD_NOT_EMPTY = 6003, "ERR_SD_NOT_EMPTY: the Security Domain still has TAs", "DeleteSD came without deleteta, and TAs are installed in the Security Domain.", "Delete the TAs first, or set deleteta.";
    OTRP_SDNAME_ALREADY_USED = 6004, "ERR_SDNAME_ALREADY_USED: the new name is taken", "UpdateSD would rename a Security Domain to a name that the TAM already uses on the device.", "Choose another name.";
    OTRP_REQUEST_INVALID = 6005, "ERR_REQUEST_INVALID: the TEE refuses the request", "A member is missing, mistyped or undefined, the signature does not hold, or the content does not decrypt.", "The error message names the member; the device's log has the cause.";
    OTRP_SPCERT_INVALID = 6006, "ERR_SPCERT_INVALID: the SP certificate is not valid", "It is not a DER certificate with a usable key and a signature that holds.", "Give a certificate of the provider's signing key (`tamarack pki`).";
    OTRP_TA_ALREADY_INSTALLED = 6007, "ERR_TA_ALREADY_INSTALLED: the TA is installed", "InstallTA named a TA that the Security Domain already has.", "Nothing to do: the TAM sends UpdateTA instead.";
    OTRP_TA_INVALID = 6008, "ERR_TA_INVALID: the TA is refused", "The package does not decrypt with the AIK, is no SUIT envelope for this TA, or its signer is none of the Security Domain's.", "Encrypt to the current AIK and sign with a key whose certificate the Security Domain has.";
    OTRP_TA_NOT_FOUND = 6009, "ERR_TA_NOT_FOUND: there is no such TA", "The Security Domain has no TA of this taid.", "Install it first.";
    OTRP_TEE_FAIL = 6010, "ERR_TEE_FAIL: the TEE failed", "Something inside the TEE went wrong that the TAM has no part in.", "The device's log has the cause; try again.";
    OTRP_TEE_RESOURCE_FULL = 6011, "ERR_TEE_RESOURCE_FULL: the device has no room left", "Storage, the number of Security Domains or the quota of one is used up.", "Delete what is not needed, or have the quota raised.";
    OTRP_TFW_NOT_TRUSTED = 6012, "ERR_TFW_NOT_TRUSTED: the TEE does not trust its firmware", "The firmware's signature cannot be had or does not hold.", "Treat the device as compromised until its boot chain is restored.";
    OTRP_TAM_NOT_TRUSTED = 6013, "ERR_TAM_NOT_TRUSTED: the TEE does not trust the TAM", "The TAM's certificate does not chain to an anchor of the device, has expired or is revoked, or comes without good OCSP responses.", "Enrol the TAM's root, renew its certificate, or look at the OCSP responder.";
    OTRP_UNSUPPORTED_CRYPTO_ALG = 6014, "ERR_UNSUPPORTED_CRYPTO_ALG: the TEE has not the algorithm", "The request is signed or encrypted with an algorithm that the TEE does not have.", "Sign with one of the supportedsigalgs of the response; our devices have ES256 and ECDH-ES+A128KW.";
    OTRP_UNSUPPORTED_MSG_VERSION = 6015, "ERR_UNSUPPORTED_MSG_VERSION: the TEE has not the version", "The member ver is not one that the TEE knows.", "Use version 1.0.";
    OTRP_SD_NOT_FOUND = 6016, "ERR_SD_NOT_FOUND: there is no such Security Domain", "The TAM owns no Security Domain of this name on the device; another TAM's count as none.", "Create it first.";
    OTRP_TAM_NOT_AUTHORIZED = 6017, "ERR_TAM_NOT_AUTHORIZED: the TAM claims another identity", "The tamid of the request is not the name in the TAM's certificate.", "Set the identity to what the certificate says.";
    OTRP_AGENT_TEE_UNKNOWN = 6018, "ERR_AGENT_TEE_UNKNOWN: the device has no TEE of that name", "The Broker knows no TEE as the request's member tee names it.", "Ask for the device's state again: it tells the name.";
    OTRP_AGENT_TEE_BUSY = 6019, "ERR_AGENT_TEE_BUSY: the TEE is busy", "The Broker could not hand the request over now.", "Try again later.";
    OTRP_AGENT_TEE_FAIL = 6020, "ERR_AGENT_TEE_FAIL: the TEE did not answer", "The TEE failed, or does not trust the TAM and therefore says nothing.", "Look at the device's log; check that the TAM's root is enrolled there.";
    OTRP_MALFORMED = 6030, "The OTrP message is malformed", "It is not JSON, its names do not fit, or a member is missing, mistyped or not defined.", "The message names the member; `tamarack inspect` shows the structure.";
    OTRP_VERSION = 6031, "The OTrP message has another version", "The member ver is not 1.0.", "Use version 1.0.";
    OTRP_UNEXPECTED = 6032, "The OTrP response answers no outstanding request", "Its name, rid and tid are not those of a request that waits: it was answered before, has expired or was altered.", "Start again with GetDeviceState.";
    OTRP_KEY_REUSE = 6033, "One key and IV would encrypt two texts", "AESCBC has one key and IV for a TA and its personalization data.", "Send them in two requests, or use A256GCM where the device has it.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn codes_are_unique_ascending_and_explained() {
        assert!(CODES.windows(2).all(|w| w[0].code < w[1].code), "codes must ascend");
        for row in CODES {
            assert!(!row.title.is_empty() && !row.cause.is_empty() && !row.fix.is_empty(), "{}", row.name);
            assert_eq!(Code::parse(&row.code.to_string()), Some(row.code));
        }
        assert_eq!(Code::parse("1103"), Some(codes::COSE_SIGNATURE));
        assert_eq!(Code::parse("TMK-11"), None);
    }
}
