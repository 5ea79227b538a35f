//! `tamarack verifier`: make and serve a verifier, have Evidence appraised, check Attestation Results.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tamarack_attest::{AcceptedResult, Grade, ResultExpectations, ResultPolicy};
use tamarack_cose::{KeyId, Purpose, VerificationKey, thumbprint};
use tamarack_eat::ear::{Ear, EarAppraisal, SignedEar, Tier};
use tamarack_eat::{Confirmation, SOFTWARE_TEE_FORMAT, TA_FORMAT};
use tamarack_model::{Code, codes};
use tamarack_verifier::{Config, GradeName, InitOptions, Verifier};

use super::tam::{ProfileArg, Serving, failed, grade, tee_ca};
use crate::fail::{self, Fail, Outcome};
use crate::rest::Open;
use crate::{keys, out};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Make a folder with all that a verifier needs: verifier.toml, its key, and the operator's token
    Init(Init),
    /// Serve a verifier until SIGTERM; prints one JSON line with its address when it is ready
    Serve {
        /// The configuration
        #[arg(long, default_value = "verifier.toml")]
        config: PathBuf,
        #[command(flatten)]
        how: Serving,
    },
    /// Ask a verifier for a challenge, for Evidence whose result will be shown to others
    Challenge {
        #[command(flatten)]
        service: Open,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have Evidence appraised, and keep the signed result
    Appraise(Appraise),
    /// Show what an Attestation Result says, for which nobody vouches
    Show {
        /// The EAR, or - for standard input
        ear: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check an Attestation Result with nothing but the verifier's public key
    Check(Check),
}

#[derive(clap::Args)]
struct Init {
    /// The folder
    folder: PathBuf,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8446")]
    listen: SocketAddr,
    /// What kind of deployment
    #[arg(long, value_enum, default_value = "development")]
    profile: ProfileArg,
    /// Certificate of a TEE CA, with the best grade of its devices: FILE or FILE=software or FILE=hardware
    #[arg(long = "tee-ca", value_name = "FILE[=GRADE]", value_parser = tee_ca)]
    tee_cas: Vec<(PathBuf, GradeName)>,
    /// Lowest grade of attesters that get a result: none, software or hardware
    #[arg(long, value_parser = grade)]
    minimum: Option<GradeName>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Appraise {
    /// The Evidence, or - for standard input
    evidence: PathBuf,
    /// Its media type, or `tee` or `ta` for that of our own
    #[arg(long, default_value = "tee")]
    format: String,
    /// The nonce that was asked for, in hexadecimal; without it the verifier's own challenge
    #[arg(long)]
    nonce: Option<String>,
    #[command(flatten)]
    service: Open,
    /// Appraise in this process, by this verifier.toml
    #[arg(long, conflicts_with = "url", requires = "nonce")]
    config: Option<PathBuf>,
    /// Where to write the EAR
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Check {
    /// The EAR, or - for standard input
    ear: PathBuf,
    /// The verifier's public key, PEM
    #[arg(long)]
    key: PathBuf,
    /// The nonce that was asked for, in hexadecimal
    #[arg(long)]
    nonce: Option<String>,
    /// The key that the attester proved to hold: a PEM file
    #[arg(long)]
    attester: Option<PathBuf>,
    /// How old the result may be, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    max_age: u64,
    /// The lowest grade that is good enough: none, software or hardware
    #[arg(long, value_parser = grade, default_value = "software")]
    minimum: GradeName,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Outcome {
    match args.action {
        Action::Init(args) => init(args),
        Action::Serve { config, how } => serve(&config, &how),
        Action::Challenge { service, json: as_json } => {
            let body = service.ask("/challenge", None)?;
            let json: Value = serde_json::from_slice(&body).unwrap_or_default();
            let missing = || Fail::new(codes::HTTP_PEER, "the verifier's answer holds no challenge");
            let challenge = json["challenge"].as_str().ok_or_else(missing)?;
            if as_json { out::json(&json) } else { out::lines(challenge) }
        }
        Action::Appraise(args) => appraise(&args),
        Action::Show { ear, json } => {
            let ear = SignedEar::parse(&fail::read(&ear)?).and_then(|signed| signed.unverified());
            let ear = ear.map_err(|e| Fail::input(codes::RESULT_MALFORMED, e))?;
            eprintln!("nobody vouches for this; check it with `tamarack verifier check`");
            print(&ear, None, json)
        }
        Action::Check(args) => check(&args),
    }
}

fn init(args: Init) -> Outcome {
    let options = InitOptions {
        folder: args.folder,
        listen: args.listen,
        profile: args.profile.into(),
        tee_cas: args.tee_cas,
        minimum: args.minimum,
    };
    let made = tamarack_verifier::init(&options).map_err(failed)?;
    let (config, key) = (made.config.display().to_string(), made.public_key.display().to_string());
    if args.json {
        return out::json(&json!({
            "config": config, "public_key": key, "operator_token": made.operator_token,
        }));
    }
    eprintln!("made {config} and the verifier's key; relying parties need {key}");
    eprintln!(
        "next: say in it who may give reference values, then tamarack verifier serve --config {config}"
    );
    eprintln!("keep the operator's token, it is not stored:");
    out::lines(&made.operator_token)
}

fn serve(config: &Path, how: &Serving) -> Outcome {
    out::log(how.log_json);
    let mut config = Config::read(config).map_err(failed)?;
    config.listen = how.listen.unwrap_or(config.listen);
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    tamarack_verifier::run(&config, |address| out::ready(scheme, address)).map_err(failed)
}

fn appraise(args: &Appraise) -> Outcome {
    let evidence = fail::read(&args.evidence)?;
    let format = match args.format.as_str() {
        "tee" => SOFTWARE_TEE_FORMAT,
        "ta" => TA_FORMAT,
        other => other,
    };
    let nonce = args.nonce.as_deref().map(nonce).transpose()?;
    let signed = match &args.config {
        Some(config) => {
            let verifier = Verifier::open(&Config::read(config).map_err(failed)?).map_err(failed)?;
            let appraised = verifier.appraise(format, &evidence, nonce.as_deref());
            appraised.map_err(|refusal| Fail::new(refusal.code, refusal.reason))?.ear
        }
        None => {
            let query = nonce.map(|nonce| format!("?nonce={}", hex::encode(nonce))).unwrap_or_default();
            args.service.ask(&format!("/appraise{query}"), Some((format, evidence)))?
        }
    };
    if let Some(path) = &args.out {
        fail::write(path, &signed)?;
    }
    let ear = SignedEar::parse(&signed).and_then(|signed| signed.unverified());
    print(&ear.map_err(|e| Fail::new(codes::RESULT_MALFORMED, e))?, None, args.json)
}

fn check(args: &Check) -> Outcome {
    let provider = tamarack_crypto_aws_lc::provider();
    let key = keys::public_key(&args.key)?;
    let verifier = tamarack_attest::Verifier {
        name: args.key.display().to_string(),
        keys: vec![VerificationKey::new(key, Purpose::AttestationResult, &provider)],
        scope: None,
        cap: Grade::Hardware,
    };
    let nonce = args.nonce.as_deref().map(nonce).transpose()?;
    let attester = args.attester.as_deref().map(keys::public_key).transpose()?;
    let attester = attester.map(|key| thumbprint(&key, &provider));
    let policy = ResultPolicy {
        maximum_age: args.max_age,
        // The result of a TA's Evidence names the TA's key, and no device's.
        require_confirmation: attester.is_some(),
        ..ResultPolicy::new(vec![verifier])
    };
    let expected = ResultExpectations { nonce: nonce.as_deref(), key: attester, now: keys::now() };
    let refused = |refusal: tamarack_attest::Refusal| Fail::new(refusal.code, refusal.reason);
    let AcceptedResult { ear, key, .. } =
        policy.accept(&fail::read(&args.ear)?, &expected, &provider).map_err(refused)?;
    print(&ear, Some(&key), args.json)?;
    let minimum = Grade::from(args.minimum);
    let tee = ear.submods.get(tamarack_attest::result::TEE);
    let grade = tee.and_then(|tee| Grade::parse(tee.details.as_ref()?.grade.as_deref()?));
    // Who asked about a device is told about its TAs too, and one of them that is not known does not change what it is; a TA
    // that proves itself is what was asked about.
    let asked = [tamarack_attest::result::TEE, tamarack_attest::result::TA];
    let asked = asked.iter().filter_map(|name| ear.submods.get(*name));
    let status = asked.map(|appraisal| appraisal.status).max().unwrap_or(Tier::None);
    if status != Tier::Affirming {
        return Err(Fail::new(codes::RESULT_STATUS, format_args!("the verifier says {status}")));
    }
    if grade.is_none_or(|grade| grade < minimum) {
        let grade = grade.map_or("unknown".into(), |grade| grade.to_string());
        let message = format_args!("the grade is {grade}, and at least {minimum} is asked for");
        return Err(Fail::new(codes::RESULT_STATUS, message));
    }
    Ok(())
}

fn nonce(digits: &str) -> Outcome<Vec<u8>> {
    let nonce = hex::decode(digits).ok().filter(|nonce| (8..=64).contains(&nonce.len()));
    nonce.ok_or_else(|| Fail::input(codes::USAGE, "--nonce: give 16 to 128 hexadecimal digits"))
}

fn print(ear: &Ear, key: Option<&KeyId>, as_json: bool) -> Outcome {
    if as_json {
        return out::json(&to_json(ear, key));
    }
    let Ear { iat, exp, verifier, submods, .. } = ear;
    let until = exp.map(|exp| format!(" until {exp}")).unwrap_or_default();
    let mut text = format!("issued {iat}{until} by {}, {}\n", verifier.developer, verifier.build);
    if let Some(key) = key {
        text.push_str(&format!("signed by {key}\n"));
    }
    for (name, appraisal) in submods {
        let EarAppraisal { status, vector, details, .. } = appraisal;
        let claims = vector.map(|vector| vector.claims()).into_iter().flatten();
        let claims = claims.filter_map(|(_, name, claim)| claim.map(|claim| format!("{name} {claim}")));
        let claims = claims.collect::<Vec<_>>().join(", ");
        text.push_str(&format!("{name}: {status} ({claims})\n"));
        let details = details.clone().unwrap_or_default();
        if let Some(code) = details.code {
            text.push_str(&format!("  {}\n", Code(code)));
        }
        for reason in details.reasons {
            text.push_str(&format!("  {}\n", reason.escape_debug()));
        }
    }
    out::lines(&text)
}

fn to_json(ear: &Ear, signer: Option<&KeyId>) -> Value {
    let submods = ear.submods.iter().map(|(name, appraisal)| (name.clone(), appraisal_json(appraisal)));
    json!({
        "issued": ear.iat,
        "expires": ear.exp,
        "verifier": { "developer": ear.verifier.developer, "build": ear.verifier.build },
        "signed_by": signer.map(|key| key.to_string()),
        "status": ear.worst().to_string(),
        "nonce": ear.eat_nonce.iter().map(hex::encode).collect::<Vec<_>>(),
        "cnf": ear.cnf.as_ref().map(key_json),
        "submods": submods.collect::<serde_json::Map<_, _>>(),
    })
}

fn appraisal_json(appraisal: &EarAppraisal) -> Value {
    let details = appraisal.details.clone().unwrap_or_default();
    let claims = appraisal.vector.map(|vector| vector.claims()).into_iter().flatten();
    let vector =
        claims.filter_map(|(_, name, claim)| claim.map(|claim| (name.to_string(), Value::from(claim))));
    json!({
        "status": appraisal.status.to_string(),
        "vector": vector.collect::<serde_json::Map<_, _>>(),
        "policies": appraisal.policies,
        "cnf": appraisal.cnf.as_ref().map(key_json),
        "device": details.device.map(hex::encode),
        "grade": details.grade,
        "code": details.code.map(|code| Code(code).to_string()),
        "reasons": details.reasons,
    })
}

/// The thumbprint of the key, whichever way it is named.
fn key_json(cnf: &Confirmation) -> Value {
    match cnf {
        Confirmation::Key(key) => thumbprint(key, &tamarack_crypto_aws_lc::provider()).to_string().into(),
        Confirmation::Kid(kid) => hex::encode(kid).into(),
        Confirmation::Thumbprint(thumbprint) => hex::encode(thumbprint).into(),
    }
}
