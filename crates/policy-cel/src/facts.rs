//! What a policy may name, and its values.

use std::collections::HashMap;

use cel::Value;
use tamarack_attest::release::{
    DeviceFacts, Release, Shown, ShownBy, ShownClaims, ShownComponent, Submodule,
};
use tamarack_attest::{Grade, TrustVector};
use tamarack_model::{Hex, UnixTime};

/// What a fact is.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A number.
    Int,
    /// Any text.
    Text,
    /// One of these texts.
    Word(&'static [&'static str]),
    /// A list.
    List(&'static Kind),
    /// A map with these names and no others.
    Record(&'static [Field]),
    /// A map with names that the device chooses.
    Table(&'static Kind),
}

/// A fact with its name.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Whether it can be missing; to use it then is an error, and an error is a denial. `has(..)` asks.
    pub optional: bool,
    /// What it means.
    pub meaning: &'static str,
}

const fn always(name: &'static str, kind: Kind, meaning: &'static str) -> Field {
    Field { name, kind, optional: false, meaning }
}

const fn maybe(name: &'static str, kind: Kind, meaning: &'static str) -> Field {
    Field { name, kind, optional: true, meaning }
}

const STATUS: Kind = Kind::Word(&["affirming", "none", "warning", "contraindicated"]);
const FINDING: Kind =
    Kind::Word(&["released", "not-released", "not-shown", "outdated", "conflicting", "expired", "unknown"]);
const DEBUG: Kind = Kind::Word(&[
    "enabled",
    "disabled",
    "disabled-since-boot",
    "disabled-permanently",
    "disabled-fully-and-permanently",
]);

/// AR4SI claims: 2 to 31 affirm, 32 to 95 warn, 96 and more contraindicate, 0 says nothing.
static VECTOR: &[Field] = &[
    always("instance_identity", Kind::Int, "whether the device is who it says"),
    always("configuration", Kind::Int, "whether it is configured safely"),
    always("executables", Kind::Int, "what runs"),
    always("file_system", Kind::Int, "what lies in its file system"),
    always("hardware", Kind::Int, "what it runs on"),
    always("runtime_opaque", Kind::Int, "who can look into its memory"),
    always("storage_opaque", Kind::Int, "who can look into its storage"),
    always("sourced_data", Kind::Int, "where its data come from"),
];

static SUBMODULE: Kind = Kind::Record(&[
    always("status", STATUS, "what its appraisal comes to"),
    always("vector", Kind::Record(VECTOR), "by aspect"),
]);

static COMPONENT: Kind = Kind::Record(&[
    always("name", Kind::Text, "what it is called"),
    always("finding", FINDING, "how it stands to the reference values"),
    maybe("svn", Kind::Int, "its security version"),
]);

static TEXT: Kind = Kind::Text;

/// All that a policy may name.
pub static FACTS: &[Field] = &[
    always(
        "device",
        Kind::Record(&[
            always("id", Kind::Text, "thumbprint of its attestation key, in hexadecimal"),
            always("protocol", Kind::Word(&["teep", "otrp"]), "what it speaks now"),
            always(
                "grade",
                Kind::Word(&["none", "software", "hardware"]),
                "how far its isolation is believed",
            ),
            always("known", Kind::Bool, "whether it had proved itself before"),
            always("first_seen", Kind::Int, "when it first proved itself, in seconds since 1970"),
        ]),
        "who asks",
    ),
    always(
        "appraisal",
        Kind::Record(&[
            always("at", Kind::Int, "when it was appraised, in seconds since 1970"),
            always(
                "proof",
                Kind::Word(&["evidence", "result", "certificates"]),
                "what it was appraised from; `result` is a verifier's, which the device brought",
            ),
            maybe("format", Kind::Text, "media type of the Evidence"),
            always("status", STATUS, "what it comes to; `none` without reference values"),
            always(
                "vector",
                Kind::Record(VECTOR),
                "by aspect, as AR4SI has it; 0 for what was not looked at",
            ),
            always(
                "submods",
                Kind::Table(&SUBMODULE),
                "TAs that it shows, appraised each for itself, by component id",
            ),
            always("components", Kind::List(&COMPONENT), "measured components against the reference values"),
            always("reasons", Kind::List(&TEXT), "what was found, in words"),
            always("cut", Kind::Bool, "whether a list or text was longer than is shown here"),
        ]),
        "what its appraisal found",
    ),
    always(
        "claims",
        Kind::Record(&[
            maybe("oemid", Kind::Text, "who made the hardware, in hexadecimal"),
            maybe("hwmodel", Kind::Text, "model"),
            maybe("hwversion", Kind::Text, "version of the model"),
            maybe("debug", DEBUG, "debug status"),
            maybe("class", Kind::Text, "kind of TEE, such as `software-tee`"),
            always("layers", Kind::List(&TEXT), "isolation layers in force, such as `own-uid`"),
            maybe("root_secret", Kind::Text, "what guards the root secret, such as `file` or `tpm`"),
            maybe("counter_quality", Kind::Text, "what guards the rollback counter, such as `file` or `tpm`"),
            maybe("time_quality", Kind::Text, "what is behind the clock, such as `untrusted`"),
        ]),
        "what it claims",
    ),
    always(
        "ta",
        Kind::Record(&[
            always("manifest", Kind::Text, "manifest component id"),
            always("components", Kind::List(&TEXT), "component ids that it installs"),
            always("provider", Kind::Text, "id of the provider that published it"),
            always("sequence", Kind::Int, "sequence number"),
            always("update", Kind::Bool, "whether the device holds a version of it"),
            maybe("installed", Kind::Int, "sequence number that the device holds"),
        ]),
        "what it would be given",
    ),
    always("now", Kind::Int, "the TAM's clock, in seconds since 1970"),
];

/// Every fact that has a value of its own: its path, what it is, whether it can be missing, and what it means.
pub fn table() -> Vec<(String, String, bool, &'static str)> {
    let mut rows = Vec::new();
    collect("", FACTS, &mut rows);
    rows
}

fn collect(path: &str, fields: &'static [Field], rows: &mut Vec<(String, String, bool, &'static str)>) {
    for field in fields {
        let path = format!("{path}{}", field.name);
        match &field.kind {
            // The eight aspects are the same everywhere.
            Kind::Record(fields) if field.name != "vector" => collect(&format!("{path}."), fields, rows),
            kind => rows.push((path, kind.name(), field.optional, field.meaning)),
        }
    }
}

impl Kind {
    fn name(&self) -> String {
        match self {
            Self::Bool => "bool".into(),
            Self::Int => "int".into(),
            Self::Text => "string".into(),
            Self::Word(words) => words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            Self::List(of) => format!("list of {}", of.name()),
            Self::Record(fields) => {
                let names: Vec<String> = fields
                    .iter()
                    .map(|field| format!("{}{}", field.name, if field.optional { "?" } else { "" }))
                    .collect();
                format!("{{{}}}", names.join(", "))
            }
            Self::Table(of) => format!("map of {}", of.name()),
        }
    }
}

/// A map in the making.
#[derive(Default)]
struct Record(HashMap<String, Value>);

impl Record {
    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    fn optional(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

impl From<Record> for Value {
    fn from(record: Record) -> Self {
        record.0.into()
    }
}

/// Numbers beyond 2^63 - 1 do not occur: no store keeps them.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn texts<T: ToString>(items: &[T]) -> Value {
    items.iter().map(|item| Value::from(item.to_string())).collect::<Vec<_>>().into()
}

/// The facts about a device, under their names.
pub(crate) fn of_device(device: &DeviceFacts, now: UnixTime) -> Vec<(&'static str, Value)> {
    let DeviceFacts { id, protocol, known, first_seen, shown } = device;
    let Shown { at, proof, grade, status, vector, submodules, components, reasons, claims, cut } = shown;
    let grade = match grade {
        Grade::None => "none",
        Grade::Software => "software",
        Grade::Hardware => "hardware",
    };
    let device = Record::default()
        .with("id", Hex(&id.0).to_string())
        .with("protocol", protocol.name())
        .with("grade", grade)
        .with("known", *known)
        .with("first_seen", int(*first_seen));
    let (proof, format) = match proof {
        ShownBy::Evidence(format) => ("evidence", Some(format.clone())),
        ShownBy::Result => ("result", None),
        ShownBy::Certificates => ("certificates", None),
    };
    let mut submods: HashMap<String, Value> = HashMap::new();
    for Submodule { name, status, vector } in submodules {
        let value = Record::default().with("status", status.to_string()).with("vector", of_vector(vector));
        // Names that are too long may have become the same; the worst comes first.
        submods.entry(name.clone()).or_insert_with(|| value.into());
    }
    let components: Vec<Value> = components
        .iter()
        .map(|ShownComponent { name, finding, svn }| {
            let record = Record::default().with("name", name.clone()).with("finding", finding.clone());
            record.optional("svn", svn.map(int)).into()
        })
        .collect();
    let appraisal = Record::default()
        .with("at", int(*at))
        .with("proof", proof)
        .optional("format", format)
        .with("status", status.to_string())
        .with("vector", of_vector(vector))
        .with("submods", submods)
        .with("components", components)
        .with("reasons", texts(reasons))
        .with("cut", *cut);
    vec![
        ("device", device.into()),
        ("appraisal", appraisal.into()),
        ("claims", of_claims(claims)),
        ("now", int(now).into()),
    ]
}

fn of_vector(vector: &TrustVector) -> Value {
    let claims = vector.claims();
    let pairs = VECTOR.iter().zip(claims);
    pairs
        .fold(Record::default(), |record, (field, (.., claim))| {
            record.with(field.name, i64::from(claim.unwrap_or_default()))
        })
        .into()
}

fn of_claims(claims: &ShownClaims) -> Value {
    let ShownClaims {
        oemid,
        hwmodel,
        hwversion,
        debug,
        class,
        layers,
        root_secret,
        counter_quality,
        time_quality,
    } = claims;
    Record::default()
        .optional("oemid", oemid.clone())
        .optional("hwmodel", hwmodel.clone())
        .optional("hwversion", hwversion.clone())
        .optional("debug", debug.clone())
        .optional("class", class.clone())
        .with("layers", texts(layers))
        .optional("root_secret", root_secret.clone())
        .optional("counter_quality", counter_quality.clone())
        .optional("time_quality", time_quality.clone())
        .into()
}

/// The facts about what is to be released, under their name.
pub(crate) fn of_release(release: &Release) -> (&'static str, Value) {
    let Release { manifest, components, provider, sequence, installed } = release;
    let ta = Record::default()
        .with("manifest", manifest.to_string())
        .with("components", texts(components))
        .with("provider", provider.clone())
        .with("sequence", int(*sequence))
        .with("update", installed.is_some())
        .optional("installed", installed.map(int));
    ("ta", ta.into())
}
