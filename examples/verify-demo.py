#!/usr/bin/env python3
"""Checks what `tamarack demo --keep DIR` left, with none of Tamarack's code.

Needs the modules cbor2 and cryptography (Debian: python3-cbor2 python3-cryptography).

It reads every TEEP and OTrP message, certificate, manifest, report and receipt of the folder and checks who signed what, that
every answer belongs to its question, that Evidence is fresh and vouches for the key that is used, that payloads are those
that the manifests name, and that each attack has the answer it must have. Evidence in TEEP is encrypted to the TAM, whose key
for that the demo leaves. What OTrP encrypts stays closed here: of that it checks who signed it, that nothing in clear tells
which device it is, and that no initialization vector is used twice. Exit code 0 only if everything holds.
"""

import base64
import collections
import hashlib
import json
import pathlib
import sys

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

# COSE header parameters and algorithms (RFC 9052, 9360, 9864).
ALG, KID, X5CHAIN = 1, 4, 33
ESP256, ED25519 = -9, -19
# TEEP message types and options (draft-ietf-teep-protocol), and the private option that binds an Update to an exchange.
QUERY_REQUEST, QUERY_RESPONSE, UPDATE, SUCCESS, ERROR = 1, 2, 3, 5, 6
CHALLENGE, EVIDENCE, TC_LIST, MANIFESTS, ERR_MSG, UNNEEDED, REPORTS, TOKEN, ERR_CODE = 2, 7, 8, 10, 12, 15, 19, 20, 23
AGENT_NONCE, EVIDENCE_KEY = 256, 257
# COSE_Encrypt (RFC 9052, RFC 9053), and the private header parameter that names the challenge outside of encrypted Evidence.
IV, EPHEMERAL, A128GCM, A128KW, ECDH_ES_A128KW, CHALLENGE_HEADER = 5, -1, 1, -3, -29, -77062
# EAT claims (RFC 9711, RFC 8747).
CNF, EAT_NONCE = 8, 10


class Wrong(Exception):
    """Something does not hold."""


def demand(condition, sentence):
    if not condition:
        raise Wrong(sentence)


def load(data):
    """One CBOR item and nothing behind it."""
    import io

    stream = io.BytesIO(data)
    item = cbor2.CBORDecoder(stream).decode()
    demand(stream.read() == b"", "bytes behind the CBOR item")
    return item


def verify_raw(key, alg, message, signature):
    """Whether the signature holds; the algorithm must be that of the key."""
    try:
        if isinstance(key, ed25519.Ed25519PublicKey) and alg == ED25519:
            key.verify(signature, message)
        elif isinstance(key, ec.EllipticCurvePublicKey) and alg == ESP256 and len(signature) == 64:
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
        else:
            return False
        return True
    except InvalidSignature:
        return False


def decrypt(tag, key):
    """What a COSE_Encrypt to one recipient holds, by ECDH-ES+A128KW and A128GCM."""
    protected, header, ciphertext, recipients = tag.value
    demand(load(protected) == {ALG: A128GCM} and len(recipients) == 1, "not A128GCM to one recipient")
    inner, recipient, wrapped = recipients[0]
    demand(load(inner) == {ALG: ECDH_ES_A128KW} and KID not in recipient, "not ECDH-ES+A128KW, or it names its recipient")
    shared = key.exchange(ec.ECDH(), cose_key(recipient[EPHEMERAL]))
    none = [None, None, None]
    info = cbor2.dumps([A128KW, none, none, [128, inner, b"EAT Encryption"]])
    kek = HKDF(hashes.SHA256(), 16, None, info).derive(shared)
    aad = cbor2.dumps(["Encrypt", protected, b""])
    return AESGCM(aes_key_unwrap(kek, wrapped)).decrypt(header[IV], ciphertext, aad)


Signature = collections.namedtuple("Signature", "alg chain over signature")


class Signed:
    """A COSE_Sign1 (tag 18) or COSE_Sign (tag 98)."""

    def __init__(self, data, detached=None):
        tagged = load(data)
        if isinstance(tagged, cbor2.CBORTag) and tagged.tag == 61:
            tagged = tagged.value
        demand(isinstance(tagged, cbor2.CBORTag) and tagged.tag in (18, 98), "not a tagged COSE signature")
        body, unprotected, payload, rest = tagged.value
        self.kid = {**unprotected, **(load(body) if body else {})}.get(KID)
        self.payload = detached if payload is None else payload
        if tagged.tag == 18:
            structure = ["Signature1", body, b"", self.payload]
            self.signatures = [self._signature(body, structure, rest)]
        else:
            self.signatures = [
                self._signature(one[0], ["Signature", body, one[0], b"", self.payload], one[2]) for one in rest
            ]

    @staticmethod
    def _signature(protected, structure, signature):
        header = load(protected) if protected else {}
        chain = header.get(X5CHAIN, [])
        chain = [chain] if isinstance(chain, bytes) else chain
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
        return Signature(header.get(ALG), certificates, cbor2.dumps(structure), signature)

    def by(self, key):
        """Whether this key made one of the signatures."""
        return any(verify_raw(key, s.alg, s.over, s.signature) for s in self.signatures)

    def certified(self, ca, uri=None, every=False):
        """Whether a signature is by a certificate in its protected header that leads to `ca` (and names `uri`)."""

        def holds(s):
            named = uri is None or (s.chain and names(s.chain[0]) == [uri])
            trusted = s.chain and named and leads_to(s.chain, ca)
            return bool(trusted) and verify_raw(s.chain[0].public_key(), s.alg, s.over, s.signature)

        return (all if every else any)(holds(s) for s in self.signatures)


def names(certificate):
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return san.get_values_for_type(x509.UniformResourceIdentifier)


def issued(certificate, issuer):
    key, signature, over = issuer.public_key(), certificate.signature, certificate.tbs_certificate_bytes
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, over)
        else:
            key.verify(signature, over, ec.ECDSA(certificate.signature_hash_algorithm))
        return certificate.issuer == issuer.subject
    except InvalidSignature:
        return False


def leads_to(chain, ca):
    """Each certificate is issued by the next, the last by the authority, which may stand in the chain itself."""
    chain = [c for c in chain if c.fingerprint(hashes.SHA256()) != ca.fingerprint(hashes.SHA256())] + [ca]
    return all(issued(a, b) for a, b in zip(chain, chain[1:]))


def cose_key(key):
    if key.get(1) == 1 and key.get(-1) == 6:
        return ed25519.Ed25519PublicKey.from_public_bytes(key[-2])
    demand(key.get(1) == 2 and key.get(-1) == 1, "a COSE_Key of an unknown kind")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + key[-2] + key[-3])


def same_key(a, b):
    spki = lambda key: key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return spki(a) == spki(b)


class Folder:
    """The kept folder."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.summary = json.loads((self.path / "SUMMARY.json").read_text())
        demand(self.summary["version"] == 1, "SUMMARY.json is of another version")
        self.protocol = self.summary["results"]["protocol"]
        self.certs = {
            name: x509.load_pem_x509_certificate(self.read(file))
            for name, file in self.summary["certs"].items()
            if file
        }
        self.evidence_key = None
        if self.summary.get("evidence_key"):
            self.evidence_key = serialization.load_pem_private_key(self.read(self.summary["evidence_key"]), None)
        self.counts = collections.Counter()
        self.faces = {}
        self.failures = []
        self.teep_keys = {}

    def read(self, file):
        return (self.path / file).read_bytes()

    def key(self, file):
        return serialization.load_pem_public_key(self.read(file))

    def check(self, kind, what, function, *args):
        """Does one check and counts it."""
        try:
            function(*args)
            self.counts[kind] += 1
        except Wrong as wrong:
            self.failures.append(f"{what}: {wrong}")
        except Exception as error:  # Whatever cannot be read is wrong, too.
            self.failures.append(f"{what}: cannot be read: {type(error).__name__}: {error}")


# --- certificates -----------------------------------------------------------------------------------------------------


def check_certificates(folder):
    certs = folder.certs

    authorities = ("tam_ca", "tee_ca", "developer_ca", "rogue_ca", "rogue_tee_ca", "firmware_ca", "other_tam_ca", "second_tee_ca")

    def under(name, ca):
        demand(issued(certs[name], certs[ca]), f"not issued by {ca}")
        others = [c for c in authorities if c != ca]
        demand(not any(issued(certs[name], certs[c]) for c in others if c in certs), "issued by another authority")

    for name, ca in [
        ("tam_ed25519", "tam_ca"),
        ("tam_p256", "tam_ca"),
        ("acme", "developer_ca"),
        ("globex", "developer_ca"),
        ("tam_otrp", "tam_ca"),
        ("other_tam", "other_tam_ca"),
    ]:
        if name in certs:
            folder.check("certificates", name, under, name, ca)

    def faces(kind, file, ca):
        """A device has a certificate for each Owner. They differ in key and number, and in nothing that links them."""
        end = b"-----END CERTIFICATE-----"
        parts = folder.read(file).split(end)
        demand(not parts.pop().strip(), "something stands behind the certificates")
        found = [x509.load_pem_x509_certificate(part + end) for part in parts]
        above = [c for c in found if c.subject == c.issuer]
        leaves = [c for c in found if c not in above]
        demand(all(c == certs[ca] for c in above), "an authority of another name stands behind them")
        for number, leaf in enumerate(leaves):
            certs[f"{kind} {number}"] = leaf
            under(f"{kind} {number}", ca)
        demand(len(leaves) > 1, "there is one for all Owners")
        for unlike in (lambda c: c.serial_number, lambda c: c.public_bytes(serialization.Encoding.DER)):
            demand(len({unlike(leaf) for leaf in leaves}) == len(leaves), "two are the same")
        keys = [c.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo) for c in leaves]
        demand(len(set(keys)) == len(leaves), "two have the same key")
        dates = [getattr(c, "not_valid_before_utc", None) or c.not_valid_before for c in leaves]
        said = {(c.subject.public_bytes(), date) for c, date in zip(leaves, dates)}
        demand(len(said) == 1, "they say different things")
        certs[kind] = leaves[0]
        folder.faces[kind] = leaves

    for name, device in folder.summary["devices"].items():
        folder.check("certificates", f"device {name}", faces, f"device {name}", device["cert"], device["tee_ca"])
        if device["otrp_cert"]:
            folder.check("certificates", f"otrp {name}", faces, f"otrp {name}", device["otrp_cert"], device["tee_ca"])


# --- messages ---------------------------------------------------------------------------------------------------------


class Message:
    """A kept TEEP message."""

    def __init__(self, folder, entry):
        self.__dict__.update({key.replace("-", "_"): value for key, value in entry.items()})
        self.data = folder.read(self.file)
        self.signed, self.kind, self.options, self.body = None, None, {}, None
        self.evidence_key = folder.evidence_key
        try:
            self.signed = Signed(self.data)
            self.body = load(self.signed.payload)
            self.kind, self.options = self.body[0], self.body[1]
        except Exception:
            # Only what was altered on its way may be unreadable, or is of another protocol.
            demand(self.fate == "altered" or not self.data or misdirected(self), f"{self.file}: not a TEEP message")

    def token(self):
        return self.options.get(TOKEN)

    def evidence(self):
        payload = load(self.options[EVIDENCE])
        return Signed(decrypt(payload, self.evidence_key) if payload.tag == 96 else self.options[EVIDENCE])

    def claims(self):
        return load(self.evidence().payload)


def misdirected(m):
    """Whether the demo sent it to a device that speaks the other protocol."""
    return m.step == "refuse-wrong-protocol" and m.fate == "replayed"


def read_messages(folder):
    messages = {"teep": [], "otrp": []}
    for entry in folder.summary["messages"]:
        protocol, kind = entry["protocol"], {"teep": Message, "otrp": JoseMessage}[entry["protocol"]]
        folder.check("messages read", entry["file"], lambda e=entry: messages[protocol].append(kind(folder, e)))
    return [[m for m in messages[protocol] if m.data] for protocol in ("teep", "otrp")]


def learn_keys(folder, messages):
    """The TEEP key of a device is the one that Evidence under the TEE CA vouches for; the first such Evidence counts."""
    for m in messages:
        if m.author == "device" and m.fate == "genuine" and m.kind == QUERY_RESPONSE and m.device in "abc":
            try:
                key = cose_key(m.claims()[CNF][1])
            except Exception:
                # Its own check says what is wrong with it.
                continue
            folder.teep_keys.setdefault(m.device, key)


def check_signature(folder, m, before):
    """Who must have signed this, and who must not."""
    tam_ca, uri = folder.certs["tam_ca"], folder.summary["tam_name"]
    if m.signed is None and misdirected(m):
        return
    if m.fate == "altered":
        by_tam = m.signed is not None and m.signed.certified(tam_ca, uri)
        by_device = m.signed is not None and any(m.signed.by(key) for key in folder.teep_keys.values())
        demand(not by_tam and not by_device, "was altered and yet a signature holds")
    elif m.author in ("tam", "stolen-tam-key"):
        demand(m.signed.certified(tam_ca, uri, every=True), "is not signed by the TAM, with every signature")
    elif m.author == "rogue-tam":
        demand(not m.signed.certified(tam_ca), "a rogue TAM's message is signed under the real TAM's authority")
        demand(m.signed.certified(folder.certs["rogue_ca"], uri), "is not signed by the rogue TAM")
    elif m.author == "device" and m.device in "abc":
        own = m.signed.by(folder.teep_keys[m.device])
        stranger = before is not None and (before.author == "rogue-tam" or before.fate == "altered" or misdirected(before))
        if stranger:
            demand(m.kind == ERROR and not own, "tells a stranger more than an Error that nobody can link")
            demand(not {EVIDENCE, TC_LIST, REPORTS, ERR_MSG} & set(m.options), "tells a stranger about the device")
        else:
            demand(own, f"is not signed by device {m.device}")


def check_evidence(folder, m, request):
    """Evidence under the TEE CA by the device's own certificate, over the challenge, for the key that signed the message."""
    demand(request is not None, "answers nothing")
    if EVIDENCE_KEY in request.options:
        outside = load(m.options[EVIDENCE])
        demand(outside.tag == 96, "Evidence goes in the clear")
        demand(outside.value[1].get(CHALLENGE_HEADER) == request.options[CHALLENGE], "names another challenge outside")
    demand(m.signed.kid is None, "the message names the device's key in the clear")
    evidence = m.evidence()
    tee_ca = folder.certs[folder.summary["devices"][m.device]["tee_ca"]]
    demand(evidence.certified(tee_ca), "Evidence is not signed under the TEE CA")
    chain = evidence.signatures[0].chain
    device = folder.certs[f"device {m.device}"]
    demand(same_key(chain[0].public_key(), device.public_key()), "Evidence of another device")
    claims = m.claims()
    demand(request is not None and claims[EAT_NONCE] == request.options[CHALLENGE], "eat_nonce is not the challenge")
    key = cose_key(claims[CNF][1])
    demand(m.signed.by(key), "cnf is not the key that signed the message")
    demand(same_key(key, folder.teep_keys[m.device]), "the TEEP key of the device has changed")
    demand(len(m.options[TC_LIST]) > 0, "tc-list is empty")
    demand(len(m.options[AGENT_NONCE]) == 16, "no agent nonce")


def check_fake_device(folder, m, request, answer):
    """An impostor's QueryResponse lacks something, and the TAM says error 7 and gives nothing."""
    demand(answer is not None and answer.kind == UPDATE, "is not answered by an Update")
    demand(answer.options.get(ERR_CODE) == 7, "is not refused with error 7")
    demand(MANIFESTS not in answer.options, "is given a manifest")
    if EVIDENCE not in m.options:
        return
    claims = m.claims()
    faults = [
        not m.evidence().certified(folder.certs["tee_ca"]),
        claims[EAT_NONCE] != request.options[CHALLENGE],
        not m.signed.by(cose_key(claims[CNF][1])),
    ]
    demand(sum(faults) == 1, f"should have exactly one fault, has {sum(faults)}")


# --- manifests --------------------------------------------------------------------------------------------------------


class Envelope:
    """A SUIT envelope."""

    def __init__(self, data):
        tagged = load(data)
        self.map = tagged.value if isinstance(tagged, cbor2.CBORTag) else tagged
        wrapper = load(self.map[2])
        self.digest_bytes, self.blocks = wrapper[0], [Signed(block, wrapper[0]) for block in wrapper[1:]]
        self.digest = load(wrapper[0])
        self.manifest_bytes = self.map[3]
        self.manifest = load(self.manifest_bytes)
        self.payloads = {name: value for name, value in self.map.items() if isinstance(name, str)}
        self.sealed = False

    def check_digest(self):
        algorithm, digest = self.digest
        demand(algorithm == -16, "the manifest digest is not SHA-256")
        demand(hashlib.sha256(cbor2.dumps(self.manifest_bytes)).digest() == digest, "the digest is not the manifest's")

    def signed_as(self, ca, uri):
        return any(block.certified(ca, uri) for block in self.blocks)

    def image_digests(self):
        """Digests that the commands demand of images, in all nested command sequences."""
        found = set()

        def walk(value):
            if isinstance(value, bytes):
                try:
                    value = load(value)
                except Exception:
                    return
                if not isinstance(value, (list, dict)):
                    return
            if isinstance(value, list):
                for command, argument in zip(value[::2], value[1::2]):
                    if command in (19, 20) and isinstance(argument, dict) and 19 in argument:
                        self.sealed = True
                    if command in (19, 20) and isinstance(argument, dict) and 3 in argument:
                        image = argument[3]
                        image = load(image) if isinstance(image, bytes) else image
                        found.add(image[1])
                for one in value:
                    if isinstance(one, (bytes, list, dict)):
                        walk(one)
            elif isinstance(value, dict):
                for one in value.values():
                    if isinstance(one, (bytes, list, dict)):
                        walk(one)

        walk(self.manifest)
        return found

    def payloads_match(self):
        digests = self.image_digests()
        # What is encrypted stands in the manifest itself: its signature and its own tag vouch for it.
        demand(digests or (self.sealed and not self.payloads), "the manifest demands no image digest")
        return all(hashlib.sha256(payload).digest() in digests for payload in self.payloads.values())


ACME, GLOBEX = "https://acme.example", "https://globex.example"


def check_envelope(folder, data, step):
    envelope = Envelope(data)
    envelope.check_digest()
    ca = folder.certs["developer_ca"]
    signer, other = (GLOBEX, ACME) if step == "refuse-wrong-signer" else (ACME, GLOBEX)
    demand(envelope.signed_as(ca, signer), f"the manifest is not signed by {signer}")
    demand(not envelope.signed_as(ca, other), f"the manifest is signed by {other}")
    matches = envelope.payloads_match()
    if step == "refuse-tampered-payload":
        demand(not matches, "the payload is the one that the manifest names, though it should be changed")
    else:
        demand(matches, "a payload is not the one that the manifest names")


# --- exchanges --------------------------------------------------------------------------------------------------------

# What the reports about refused manifests must say: our code and the reason of the SUIT report.
REFUSED = {"refuse-downgrade": (2006, 10), "refuse-tampered-payload": (2007, 10), "refuse-wrong-signer": (2003, 4)}


def check_exchanges(folder, messages):
    exchanges = collections.defaultdict(list)
    for m in messages:
        if m.device in "abc":
            exchanges[(m.device, m.exchange)].append(m)
    for (device, number), exchange in exchanges.items():
        name = f"exchange {number} of device {device} ({exchange[0].step})"
        genuine = [m for m in exchange if m.fate == "genuine" and m.signed is not None]
        one = lambda kind: next((m for m in genuine if m.kind == kind), None)
        request, response, update = one(QUERY_REQUEST), one(QUERY_RESPONSE), one(UPDATE)
        answer = next((m for m in genuine if m.kind in (SUCCESS, ERROR) and m.author == "device"), None)
        if response is not None:
            folder.check("fresh Evidence", response.file, check_evidence, folder, response, request)
        if update is not None and response is not None:
            folder.check("bound Updates", name, lambda u=update, r=response: demand(
                u.options[AGENT_NONCE] == r.options[AGENT_NONCE], "the Update does not echo the agent's nonce"))
        if update is not None and answer is not None:
            folder.check("echoed tokens", name, lambda u=update, a=answer: demand(
                a.token() == u.token() and a.token(), "the answer does not echo the Update's token"))
        for old in (m for m in exchange if m.fate == "replayed" and m.kind == UPDATE):
            folder.check("replays refused", name, check_replay, old, response, answer)
        if exchange[0].step in REFUSED:
            folder.check("refusals", name, lambda a=answer: demand(
                a is not None and a.kind == ERROR and a.body[2] == 17, "is not refused with error 17"))
        if exchange[0].author == "rogue-tam":
            errors = [m for m in exchange if m.kind == ERROR and m.author == "device"]
            folder.check("refusals", name, lambda e=errors: demand(
                len(e) == 1 and e[0].body[2] == 6, "the rogue TAM is not refused with error 6"))


def check_replay(old, response, answer):
    demand(old.options[AGENT_NONCE] != response.options[AGENT_NONCE], "the old Update is bound to this exchange")
    demand(answer is not None and answer.kind == ERROR, "the old Update is not refused")


def check_messages(folder, messages):
    before = {}
    for m in messages:
        asked = before.get(m.device)
        if m.author != "fake-device" and not (m.device == "x" and m.fate == "replayed"):
            folder.check("signatures", m.file, check_signature, folder, m, asked)
        if m.kind == UPDATE and m.fate == "genuine":
            for data in m.options.get(MANIFESTS, []):
                folder.check("manifests", m.file, check_envelope, folder, data, m.step)
        if m.direction == "to-device":
            before[m.device] = m
    strangers = [m for m in messages if m.device == "x" and m.fate == "genuine"]
    for request, response, answer in zip(strangers[::3], strangers[1::3], strangers[2::3]):
        folder.check("strangers refused", response.file, check_fake_device, folder, response, request, answer)


# --- OTrP -------------------------------------------------------------------------------------------------------------


def unbase64(text):
    """Base64 for URLs, without padding."""
    demand(set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), "not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def strict_json(data):
    def pairs(members):
        demand(len({name for name, _ in members}) == len(members), "a name stands twice")
        return dict(members)

    return json.loads(data.decode("utf-8"), object_pairs_hook=pairs)


def only(value):
    """Name and value of an object's one member."""
    demand(isinstance(value, dict) and len(value) == 1, "not an object of one member")
    return next(iter(value.items()))


class Jws:
    """A flattened JWS (RFC 7515)."""

    def __init__(self, value):
        demand(set(value) <= {"payload", "protected", "header", "signature"}, "unknown members of a JWS")
        self.protected = strict_json(unbase64(value["protected"]))
        demand(set(self.protected) <= {"alg", "x5t#S256"}, "unknown protected header parameters")
        self.header = value.get("header", {})
        self.over = f"{value['protected']}.{value['payload']}".encode("ascii")
        self.signature = unbase64(value["signature"])
        self.payload = strict_json(unbase64(value["payload"]))
        self.chain = [x509.load_der_x509_certificate(base64.b64decode(c, validate=True)) for c in self.header.get("x5c", [])]

    def by(self, key):
        return self.protected["alg"] == "ES256" and verify_raw(key, ESP256, self.over, self.signature)

    def certified(self, ca, oid):
        """Whether it is signed by a certificate that it names, that leads to `ca` and that has this one registeredID."""
        if not self.chain or not leads_to(self.chain, ca) or identifiers(self.chain[0]) != [oid]:
            return False
        leaf = self.chain[0].public_bytes(serialization.Encoding.DER)
        named = unbase64(self.protected.get("x5t#S256", "")) == hashlib.sha256(leaf).digest()
        return named and self.by(self.chain[0].public_key())


def identifiers(certificate):
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [oid.dotted_string for oid in san.get_values_for_type(x509.RegisteredID)]


class JoseMessage:
    """A kept OTrP message."""

    def __init__(self, folder, entry):
        self.__dict__.update({key.replace("-", "_"): value for key, value in entry.items()})
        self.data = folder.read(self.file)
        self.name, self.parts = None, []
        if not self.data:
            return
        try:
            value = strict_json(self.data)
            if "signature" in value:
                self.name, self.parts = "TEESPAIKS", [("TEESPAIKS", Jws(value))]
                return
            self.name, inside = only(value)
            if self.name == "GetDeviceStateResponse":
                self.parts = [(name, Jws(jws)) for name, jws in map(only, inside)]
            elif self.name != "OTrPBrokerError":
                self.parts = [(self.name, Jws(inside))]
        except Exception:
            demand(self.fate == "altered" or misdirected(self), f"{self.file}: not an OTrP message")


def inside(name):
    """The name that a signed payload must have."""
    for end in ("Request", "Response"):
        if name.endswith(end):
            return f"{name[: -len(end)]}TBS{end}"
    return name


def check_jose_signature(folder, m):
    """Who must have signed this, and who must not."""
    certs, oid, other = folder.certs, folder.summary["tam_oid"], folder.summary["other_tam_oid"]
    devices = [face for kind, faces in folder.faces.items() if kind.startswith("otrp") for face in faces]
    by_tam = [jws.certified(certs["tam_ca"], oid) for _, jws in m.parts]
    by_device = [any(jws.by(device.public_key()) for device in devices) for _, jws in m.parts]
    if m.fate == "altered":
        demand(not any(by_tam) and not any(by_device), "was altered and yet a signature holds")
        return
    for name, jws in m.parts:
        demand(only(jws.payload)[0] == inside(name), f"is named {name} outside and {only(jws.payload)[0]} inside")
    if m.name is None:
        return
    if m.name == "OTrPBrokerError":
        members = strict_json(m.data)["OTrPBrokerError"]
        demand(set(members) == {"ver", "rid", "tid", "errcode"}, "tells more than an error")
    elif m.author in ("tam", "stolen-tam-key"):
        demand(all(by_tam), "is not signed by the TAM")
    elif m.author == "rogue-tam":
        demand(not any(by_tam) and m.parts[0][1].certified(certs["rogue_ca"], oid), "is not signed by the rogue TAM")
    elif m.author == "other-tam":
        demand(m.parts[0][1].certified(certs["other_tam_ca"], other), "is not signed by the other TAM")
    elif m.author == "device" and m.device in "abc":
        first, *others = folder.faces[f"otrp {m.device}"]
        # What another TAM asks is answered by another face, and only that.
        by_first = all(jws.by(first.public_key()) for _, jws in m.parts)
        by_other = any(all(jws.by(own.public_key()) for _, jws in m.parts) for own in others)
        demand(by_first or by_other, f"is not signed by device {m.device}")
        for_other = m.step in ("refuse-other-tam", "refuse-revoked-tam")
        demand(by_first or for_other, f"shows its TAM another face of device {m.device}")
        demand(not any(jws.header for _, jws in m.parts), "tells in clear who signed it")


def check_privacy(folder, m):
    """Nothing in clear tells which device it is: neither its certificate nor that certificate's digest."""
    for name in "abc":
        for face in folder.faces.get(f"otrp {name}", []):
            der = face.public_bytes(serialization.Encoding.DER)
            for secret in (der, hashlib.sha256(der).digest()):
                told = [base64.b64encode(secret), base64.urlsafe_b64encode(secret).rstrip(b"="), secret.hex().encode()]
                clear = m.data + b"".join(json.dumps(jws.payload).encode() for _, jws in m.parts)
                demand(not any(text in clear for text in told), f"tells in clear that it is of device {name}")


def encrypted(value):
    """Every JWE in a payload."""
    if isinstance(value, dict):
        if "ciphertext" in value:
            yield value
        for inner in value.values():
            yield from encrypted(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from encrypted(inner)


def check_jwe(jwe, vectors):
    protected = strict_json(unbase64(jwe["protected"]))
    enc = protected["enc"]
    demand(enc in ("A128CBC-HS256", "A256GCM", "A256CBC-HS512"), f"encrypted with {enc}")
    demand(len(unbase64(jwe["tag"])) == {"A256CBC-HS512": 32}.get(enc, 16), "a tag of a wrong length")
    (recipient,) = jwe["recipients"]
    demand(recipient["header"]["alg"] == "ECDH-ES+A128KW", f"a key for {recipient['header']['alg']}")
    vector = unbase64(jwe["iv"])
    demand(vector not in vectors, "an initialization vector is used twice")
    vectors.add(vector)


def check_jose(folder, messages):
    vectors, transactions = set(), set()
    for m in messages:
        if m.author != "fake-device" and not (m.device == "x" and m.fate == "replayed"):
            folder.check("JOSE signatures", m.file, check_jose_signature, folder, m)
        if m.direction == "to-tam" and m.author == "device":
            folder.check("privacy", m.file, check_privacy, folder, m)
        for _, jws in m.parts if m.fate == "genuine" else []:
            for jwe in encrypted(jws.payload):
                folder.check("encryption", m.file, check_jwe, jwe, vectors)
        if m.name == "GetDeviceStateRequest" and m.fate == "genuine":
            tid = m.parts[0][1].payload["GetDeviceStateTBSRequest"]["tid"]
            folder.check("fresh challenges", m.file, lambda t=tid: demand(
                t not in transactions and len(unbase64(t)) == 32, "the transaction is not new"))
            transactions.add(tid)
    check_jose_answers(folder, messages)


def check_jose_answers(folder, messages):
    """Each answer of a device repeats rid and tid of the request before it, and strangers get none."""
    before = {}
    for m in messages:
        if m.direction == "to-device":
            before[m.device] = m
            continue
        asked = before.pop(m.device, None)
        if asked is None or m.device not in "abc" or m.fate != "genuine" or asked.fate == "altered" or not asked.parts:
            continue
        request = only(asked.parts[0][1].payload)[1]
        stranger = asked.author == "rogue-tam" or (asked.author == "other-tam" and m.step == "refuse-revoked-tam")
        if m.name == "OTrPBrokerError":
            error = strict_json(m.data)["OTrPBrokerError"]
            folder.check("answers", m.file, lambda r=request, e=error: demand(
                (e["rid"], e["tid"]) == (r["rid"], r["tid"]), "is about another request"))
            if stranger:
                folder.check("strangers refused", m.file, lambda e=error: demand(
                    e["errcode"] == "ERR_AGENT_TEE_FAIL", "says more than that the TEE did not answer"))
            continue
        for _, jws in m.parts:
            answer = only(jws.payload)[1]
            folder.check("answers", m.file, lambda r=request, a=answer: demand(
                (a["rid"], a["tid"]) == (r["rid"], r["tid"]), "answers another request"))
            refused = m.step in REFUSALS and asked.author in ("stolen-tam-key", "other-tam") or asked.fate == "replayed"
            if refused and m.name != "GetDeviceStateResponse":
                folder.check("refusals", m.file, lambda a=answer: demand(a["status"] == "fail", "is carried out"))


REFUSALS = (
    "refuse-downgrade", "refuse-stale-state", "refuse-tampered-payload", "refuse-wrong-signer", "refuse-other-tam",
)


# --- reports, receipts, results ---------------------------------------------------------------------------------------


def check_report(folder, entry, messages):
    key = folder.key(folder.summary["devices"][entry["device"]]["report_key"])
    signed = Signed(folder.read(entry["file"]))
    demand(signed.by(key), "is not signed by the device's report key")
    demand(not signed.by(folder.teep_keys[entry["device"]]), "is signed by the TEEP key")
    carrier = next(m for m in messages if m.file == entry["message"])
    demand(folder.read(entry["file"]) in carrier.options[REPORTS], "is not the one in the message")
    report = load(signed.payload)
    demand(report[2] == carrier.token(), "its nonce is not the Update's token")
    same = [m for m in messages if (m.device, m.exchange) == (carrier.device, carrier.exchange)]
    update = next(m for m in same if m.kind == UPDATE and m.token() == carrier.token())
    digests = [Envelope(data).digest for data in update.options.get(MANIFESTS, [])]
    reference = report[99][1]
    reference = load(reference) if isinstance(reference, bytes) else reference
    demand(not digests or reference in digests, "is about a manifest that was not sent")
    result = report[4]
    if carrier.step in REFUSED:
        demand((result[5], result[7]) == REFUSED[carrier.step], f"says {result}")
    elif carrier.kind == SUCCESS:
        demand(result is True, f"a Success whose report says {result}")


def check_receipt(folder, entry, number):
    payload, signature = load(folder.read(entry["file"]))
    demand(verify_raw(folder.key(entry["key"]), ED25519, payload, signature), "is not signed by the wallet")
    fields = load(payload)
    demand(fields[:2] == ["tamarack-wallet-receipt", 1], "is not a receipt of version 1")
    demand(fields[3] == number, f"has number {fields[3]}, expected {number}")
    demand(fields[6] == bytes.fromhex(entry["reference"]), "is for another reference")
    return fields


def check_receipts(folder):
    # Each wallet has a key, and counts for itself.
    spent, numbers = collections.Counter(), collections.Counter()
    for entry in folder.summary["receipts"]:
        wallet, fields = folder.read(entry["key"]), []
        numbers[wallet] += 1
        folder.check("receipts", entry["file"], lambda e=entry, n=numbers[wallet]: fields.extend(check_receipt(folder, e, n)))
        if fields:
            spent[wallet] += fields[4]
            folder.check("receipts", entry["file"], lambda s=spent[wallet], f=fields: demand(s == f[7], "does not add up"))
    wallets = 2 if folder.protocol == "both" else 1
    folder.check("receipts", "receipts", lambda: demand(len(numbers) == wallets, f"are not signed by {wallets} wallets"))


def check_results(folder):
    steps = folder.summary["results"]["steps"]
    for step in steps:
        folder.check("steps", step["id"], lambda s=step: demand(s["ok"] is True, "did not go as it should"))
        for refusal in step["detail"].get("refusals", []):
            for digest in ("state_digest", "registry_digest"):
                folder.check("unchanged digests", f"{step['id']}: {refusal['attempt']}", lambda r=refusal, d=digest: demand(
                    r[d]["before"] and r[d]["before"] == r[d]["after"], f"{d} has changed"))


TEEP_KINDS = ["signatures", "fresh Evidence", "bound Updates", "echoed tokens", "reports"]
OTRP_KINDS = ["JOSE signatures", "answers", "fresh challenges", "encryption", "privacy"]
ALL_KINDS = ["certificates", "manifests", "receipts", "unchanged digests", "steps"]
ATTACKS = ["refusals", "strangers refused"]
# What must have been there to check.
KINDS = {
    "teep": ALL_KINDS + TEEP_KINDS + ATTACKS + ["replays refused"],
    "otrp": ALL_KINDS + OTRP_KINDS + ATTACKS,
    "both": ALL_KINDS + TEEP_KINDS + OTRP_KINDS,
}


def main():
    if len(sys.argv) != 2:
        print(f"usage: {sys.argv[0]} DIR    (the folder of tamarack demo --keep DIR)", file=sys.stderr)
        return 2
    try:
        folder = Folder(sys.argv[1])
        check_certificates(folder)
        messages, jose = read_messages(folder)
        learn_keys(folder, messages)
    except (OSError, ValueError, KeyError, Wrong) as error:
        print(f"FAILED: {sys.argv[1]} is not what tamarack demo --keep leaves: {error}")
        return 1
    check_messages(folder, messages)
    check_exchanges(folder, messages)
    check_jose(folder, jose)
    for entry in folder.summary["reports"]:
        folder.check("reports", entry["file"], check_report, folder, entry, messages)
    for entry in folder.summary["manifests"]:
        folder.check("manifests", entry["file"], check_envelope, folder, folder.read(entry["file"]), "publish")
    check_receipts(folder)
    check_results(folder)
    for kind in KINDS[folder.protocol]:
        print(f"{folder.counts[kind]:5} {kind}")
        if not folder.counts[kind]:
            folder.failures.append(f"{kind}: there was nothing to check")
    for failure in folder.failures:
        print(f"FAILED: {failure}")
    print("everything holds" if not folder.failures else f"{len(folder.failures)} checks failed")
    return 1 if folder.failures else 0


if __name__ == "__main__":
    sys.exit(main())
