//! Reference values: what devices should run, signed by who released it.

mod provider;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tamarack_corim::{
    AttestKeys, Class, ClassId, Comid, Corim, CryptoKey, Digest, Environment, Id, Instance, LinkedTag,
    MeasuredElement, Measurement, MeasurementValues, Profile, Relation, Signer, Svn, Triple, Validity,
};
use tamarack_cose::thumbprint;
use tamarack_model::{ComponentId, codes};

use crate::fail::{self, Fail, Outcome};
use crate::rest::{Connection, Rest, encode};
use crate::ta_yaml::vendor_id;
use crate::{keys, out};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Write and sign reference values, as a maker or a signer of TAs
    Make(Box<Make>),
    /// Add signed reference values to a TAM
    Add {
        /// The signed CoRIM
        file: PathBuf,
        #[command(flatten)]
        connection: Connection,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List a TAM's reference values, and which of them are in force
    List {
        #[command(flatten)]
        connection: Connection,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Who may give reference values to this tenant
    Provider {
        #[command(subcommand)]
        action: provider::Action,
    },
    /// Take reference values out of force; nothing older comes back
    Deactivate {
        /// Their id
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(clap::Args)]
struct Make {
    /// Private key that signs, PEM; it serves nothing else
    #[arg(long)]
    key: PathBuf,
    /// Who signs
    #[arg(long)]
    signer: String,
    /// What these values are called, over all their versions
    #[arg(long)]
    tag: String,
    /// Their version: a higher one takes the place of lower ones
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..i64::MAX as u64))]
    version: u64,
    /// Vendor of the devices, as they were made with: a UUID or a DNS name
    #[arg(long)]
    vendor: Option<String>,
    /// Name of their class, as they were made with: what Evidence calls their model
    #[arg(long, requires = "vendor")]
    class: Option<String>,
    /// For PSA roots of trust: their implementation id, 64 hexadecimal digits
    #[arg(long, conflicts_with = "vendor")]
    implementation_id: Option<String>,
    /// Only the device whose attestation key has this thumbprint: its id at a TAM
    #[arg(long)]
    device: Option<String>,
    /// A released component, repeatable: NAME=FILE or NAME=sha256:DIGEST, with @SVN behind it for its security version
    #[arg(long = "component")]
    components: Vec<String>,
    /// A released TA, on whichever device, repeatable: COMPONENT=FILE or COMPONENT=sha256:DIGEST, with @SVN behind it for its
    /// security version
    #[arg(long = "ta", conflicts_with_all = ["vendor", "implementation_id", "device", "components"])]
    tas: Vec<String>,
    /// The least security version of a component, repeatable: NAME=SVN
    #[arg(long = "min-svn")]
    least: Vec<String>,
    /// An attestation key of these devices, PEM, repeatable
    #[arg(long = "attest-key", conflicts_with = "tas")]
    attest_keys: Vec<PathBuf>,
    /// Another tag that these values replace for good, repeatable
    #[arg(long = "replaces")]
    replaces: Vec<String>,
    /// Days until the values end; they do not end without it
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    days: Option<u32>,
    /// Where to write the signed CoRIM
    #[arg(long, short)]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Outcome {
    match args.action {
        Action::Make(args) => make(&args),
        Action::Add { file, connection, json } => {
            let signed = fail::read(&file)?;
            let media_type = tamarack_corim::MEDIA_TYPE;
            let row = Rest::new(&connection)?.post_bytes("/references", media_type, signed)?;
            if json { out::json(&row) } else { out::lines(&format!("added {}", line(&row))) }
        }
        Action::List { connection, json } => {
            let none = "there is none: what devices run is not looked at";
            out::list(Rest::new(&connection)?.all("/references")?, json, none, line)
        }
        Action::Provider { action } => provider::run(action),
        Action::Deactivate { id, connection } => {
            Rest::new(&connection)?.delete(&format!("/references/{}", encode(&id)))?;
            out::lines(&format!("deactivated {id}"))
        }
    }
}

fn line(row: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_string();
    let tags = row["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tags = tags.iter().map(|tag| {
        let components = tag["components"].as_array().map_or(0, Vec::len);
        format!("{} version {} ({components} values)", text(&tag["id"]), tag["version"])
    });
    let tags = tags.collect::<Vec<_>>().join(", ");
    format!("{}  {:<14}  by {}: {tags}", text(&row["id"]), text(&row["state"]), text(&row["provider"]))
}

fn make(args: &Make) -> Outcome {
    let environment = if args.tas.is_empty() { environment(args)? } else { Environment::default() };
    let mut tag = Comid::new(Id::Text(args.tag.clone()), args.version);
    for text in &args.components {
        tag.reference_values.push(triple(&environment, component("--component", text)?));
    }
    for text in &args.tas {
        let environment = ta(pair("--ta", text)?.0)?;
        tag.reference_values.push(triple(&environment, component("--ta", text)?));
    }
    for text in &args.least {
        let (name, svn) = pair("--min-svn", text)?;
        let environment = if args.tas.is_empty() { environment.clone() } else { ta(name)? };
        let svn = svn.parse().map_err(|_| usage(format_args!("--min-svn {text:?}: expected NAME=NUMBER")))?;
        let values = MeasurementValues { svn: Some(Svn::AtLeast(svn)), ..MeasurementValues::default() };
        tag.reference_values.push(triple(&environment, measurement(name, values)));
    }
    let keys = args.attest_keys.iter().map(|path| keys::public_key(path).map(|key| CryptoKey::new(&key)));
    let keys = keys.collect::<Outcome<Vec<_>>>()?;
    if !keys.is_empty() {
        let record =
            AttestKeys { environment: environment.clone(), keys, element: None, authorized_by: Vec::new() };
        tag.attest_keys.push(record);
    }
    if tag.reference_values.is_empty() && tag.attest_keys.is_empty() {
        return Err(usage(format_args!("give at least one --component, --ta, --min-svn or --attest-key")));
    }
    let link = |tag: &String| LinkedTag { tag_id: Id::Text(tag.clone()), relation: Relation::Replaces };
    tag.linked_tags = args.replaces.iter().map(link).collect();
    let end = |days: u32| Validity { not_before: None, not_after: keys::now() + u64::from(days) * 86_400 };
    let corim = Corim {
        profile: Some(Profile::Uri(tamarack_attest::REFERENCE_PROFILE.into())),
        validity: args.days.map(end),
        ..Corim::new(Id::Text(format!("{}/{}", args.tag, args.version)), tag)
    };
    let key = keys::signer(&args.key)?;
    let kid = thumbprint(&key.public_key(), &tamarack_crypto_aws_lc::provider());
    let signed = tamarack_corim::sign(&corim, &Signer::new(&args.signer), &*key, Some(&kid.0))
        .map_err(|e| Fail::input(e.code(), e))?;
    fail::write(&args.out, &signed)?;
    let class = environment.class.as_ref().and_then(|class| class.class_id.as_ref()).map(|id| match id {
        ClassId::Uuid(id) => hex::encode(id),
        ClassId::Bytes(id) | ClassId::Oid(id) => hex::encode(id),
    });
    if args.json {
        return out::json(&json!({
            "file": args.out.display().to_string(), "tag": args.tag, "version": args.version,
            "class_id": class, "key": kid.to_string(), "ends": corim.validity.as_ref().map(|validity| validity.not_after),
        }));
    }
    let class = class.map(|class| format!(" for devices of class-id {class}")).unwrap_or_default();
    out::lines(&format!("signed {} version {}{class}, with key {kid}", args.tag, args.version))
}

fn usage(message: std::fmt::Arguments<'_>) -> Fail {
    Fail::input(codes::USAGE, message)
}

fn environment(args: &Make) -> Outcome<Environment> {
    // A software TEE shows its vendor id in both forms.
    let vendor = args.vendor.as_deref().map(vendor_id);
    let class = Class {
        class_id: match &args.implementation_id {
            Some(text) => Some(ClassId::Bytes(digest("--implementation-id", text)?.to_vec())),
            None => vendor.map(ClassId::Uuid),
        },
        vendor: vendor.map(hex::encode),
        model: args.class.as_ref().map(|class| class.chars().take(32).collect()),
        ..Class::default()
    };
    let instance = args.device.as_ref().map(|text| digest("--device", text).map(Instance::of_key));
    let instance = instance.transpose()?;
    let class = (class != Class::default()).then_some(class);
    if class.is_none() && instance.is_none() {
        return Err(usage(format_args!(
            "say which devices, by --vendor and --class, --implementation-id or --device"
        )));
    }
    Ok(Environment { class, instance, group: None })
}

/// The environment of a TA, by its component id.
fn ta(name: &str) -> Outcome<Environment> {
    let id = ComponentId::parse_text(name)
        .map_err(|e| usage(format_args!("{name:?}: expected the component id of a TA: {e}")))?;
    Ok(tamarack_attest::ta_environment(&id))
}

fn triple(environment: &Environment, measurement: Measurement) -> Triple {
    Triple { environment: environment.clone(), measurements: vec![measurement] }
}

fn measurement(name: &str, values: MeasurementValues) -> Measurement {
    Measurement { element: Some(MeasuredElement::Text(name.into())), values, authorized_by: Vec::new() }
}

/// 64 hexadecimal digits.
fn digest(option: &str, digits: &str) -> Outcome<[u8; 32]> {
    let bytes = hex::decode(digits).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| usage(format_args!("{option}: {digits:?} is not 64 hexadecimal digits")))
}

fn pair<'t>(option: &str, text: &'t str) -> Outcome<(&'t str, &'t str)> {
    let pair = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    pair.ok_or_else(|| usage(format_args!("{option} {text:?}: expected NAME=VALUE")))
}

/// `NAME=FILE`, `NAME=sha256:HEX`, either with `@SVN` behind it.
fn component(option: &str, text: &str) -> Outcome<Measurement> {
    let (name, value) = pair(option, text)?;
    // A file may have an @ in its name; only digits behind the last one are a version.
    let numbered = value.rsplit_once('@').and_then(|(value, svn)| Some((value, svn.parse::<u64>().ok()?)));
    let (value, svn) = numbered.map_or((value, None), |(value, svn)| (value, Some(svn)));
    let sha256 = match value.strip_prefix("sha256:") {
        Some(digits) => digest(option, digits)?,
        None => tamarack_crypto_aws_lc::provider().sha256(&fail::read(Path::new(value))?),
    };
    let values = MeasurementValues {
        digests: vec![Digest::sha256(sha256)],
        svn: svn.map(Svn::Exact),
        ..MeasurementValues::default()
    };
    Ok(measurement(name, values))
}
