//! Release policies: which Trusted Applications the devices of a tenant are given.

mod offline;

use std::path::PathBuf;

use serde_json::{Value, json};
use tamarack_attest::release::ReleaseRules;
use tamarack_model::codes;
use tamarack_policy_cel::CelRules;

use crate::fail::{self, Fail, Outcome};
use crate::out;
use crate::rest::{Connection, Rest, encode};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Print the release policy that is in force
    Show {
        #[command(flatten)]
        connection: Connection,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Put a release policy in force
    Set {
        /// The policy, an expression in CEL
        file: PathBuf,
        #[command(flatten)]
        connection: Connection,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have no release policy any more: devices are given all that is planned for them
    Clear {
        #[command(flatten)]
        connection: Connection,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the versions of the release policy, the newest first
    History {
        #[command(flatten)]
        connection: Connection,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what a policy would do to a device, to all of them, or to one whose Evidence is in a file
    ///
    /// Nothing is changed. Ends with exit code 1 if anything is denied; with --all, if anything that is given now would be
    /// denied.
    Test(Box<Test>),
    /// Write the last Evidence of a device to a file, for `test --evidence`
    Record {
        /// Device id
        #[arg(long)]
        device: String,
        /// Where to write it
        #[arg(long, short)]
        out: PathBuf,
        #[command(flatten)]
        connection: Connection,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print all that a policy can name
    Facts {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
struct Test {
    /// The policy to try; without it the one in force at the TAM
    #[arg(long)]
    policy: Option<PathBuf>,
    /// A device of the TAM
    #[arg(long, conflicts_with_all = ["all", "evidence"])]
    device: Option<String>,
    /// All devices of the TAM: how many get what, and for which of them that would change
    #[arg(long, conflicts_with = "evidence")]
    all: bool,
    #[command(flatten)]
    offline: offline::Offline,
    #[command(flatten)]
    connection: Connection,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Outcome {
    match args.action {
        Action::Show { connection, json } => show(&Rest::new(&connection)?, json),
        Action::Set { file, connection, json } => {
            let policy = text(&file)?;
            // The same check that the TAM makes, before anything is sent.
            check(&policy)?;
            put(&Rest::new(&connection)?, Some(&policy), json)
        }
        Action::Clear { connection, json } => put(&Rest::new(&connection)?, None, json),
        Action::History { connection, json } => history(&Rest::new(&connection)?, json),
        Action::Test(args) => test(*args),
        Action::Record { device, out, connection, json } => {
            record(&Rest::new(&connection)?, &device, &out, json)
        }
        Action::Facts { json } => facts(json),
    }
}

fn text(file: &std::path::Path) -> Outcome<String> {
    String::from_utf8(fail::read(file)?).map_err(|_| {
        Fail::input(codes::RELEASE_POLICY_INVALID, format_args!("{}: not a text file", file.display()))
    })
}

fn check(policy: &str) -> Outcome {
    CelRules::default().check(policy).map_err(|refusal| Fail::input(refusal.code, refusal.reason))
}

fn show(rest: &Rest, json: bool) -> Outcome {
    let row = rest.get("/release-policy")?;
    if json {
        return out::json(&row);
    }
    match row["policy"].as_str() {
        Some(policy) => {
            eprintln!("version {}, set {} by {}", row["version"], row["set"], word(&row["by"]));
            out::lines(policy)
        }
        None => {
            eprintln!("there is none: devices are given all that is planned for them");
            Ok(())
        }
    }
}

fn put(rest: &Rest, policy: Option<&str>, json: bool) -> Outcome {
    // The version that is looked at is the one that is replaced.
    let before = &rest.get("/release-policy")?["version"];
    let row = rest.put_matching("/release-policy", &format!("\"{before}\""), &json!({ "policy": policy }))?;
    if json {
        return out::json(&row);
    }
    out::lines(&match policy {
        Some(_) => format!("version {} is in force", row["version"]),
        None => format!("version {}: there is no release policy any more", row["version"]),
    })
}

fn history(rest: &Rest, json: bool) -> Outcome {
    let row = |row: &Value| {
        let policy = row["policy"].as_str().map_or("(none)".into(), |text| {
            text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
        });
        format!("version {}  {}  {}\n{policy}", row["version"], row["set"], word(&row["by"]))
    };
    out::list(rest.all("/release-policy/history")?, json, "there never was one", row)
}

fn record(rest: &Rest, device: &str, out: &std::path::Path, json: bool) -> Outcome {
    let mut record = rest.get(&format!("/devices/{}/evidence", encode(device)))?;
    let trial = json!({ "policy": "true", "device": device });
    record["releases"] = rest.post("/release-policy/test", &trial)?["releases"].clone();
    fail::write(out, format!("{record:#}\n").as_bytes())?;
    let count = record["releases"].as_array().map_or(0, Vec::len);
    if json {
        return out::json(&json!({
            "file": out.display().to_string(), "device": device, "at": record["at"], "releases": count,
        }));
    }
    out::lines(&format!("recorded {device}, appraised {}, with {count} releases", record["at"]))
}

fn facts(json: bool) -> Outcome {
    let table = tamarack_policy_cel::table();
    if json {
        let row = |(path, kind, optional, meaning): &(String, String, bool, &str)| json!({ "fact": path, "type": kind, "optional": optional, "meaning": meaning });
        return out::json(&table.iter().map(row).collect());
    }
    let row = |(path, kind, optional, meaning): (String, String, bool, &str)| {
        let path = if optional { format!("{path} ?") } else { path };
        format!("{path:<28} {meaning}\n{:<28} {kind}", "")
    };
    out::lines(&table.into_iter().map(row).collect::<Vec<_>>().join("\n"))
}

fn test(args: Test) -> Outcome {
    let policy = match &args.policy {
        Some(file) => Some(text(file)?),
        None => None,
    };
    if let Some(policy) = &policy {
        check(policy)?;
    }
    let json = args.json;
    if !args.offline.evidence.is_empty() {
        let missing = || Fail::input(codes::USAGE, "say which policy with --policy: no TAM is asked");
        return shown(args.offline.decide(&policy.ok_or_else(missing)?)?, json);
    }
    let rest = Rest::new(&args.connection)?;
    match (args.device, args.all) {
        (Some(device), _) => {
            let trial = json!({ "policy": policy, "device": device });
            shown(vec![rest.post("/release-policy/test", &trial)?], json)
        }
        (None, true) => fleet(&rest, policy.as_deref(), json),
        (None, false) => {
            Err(Fail::input(codes::USAGE, "say what to test it on: --device, --all or --evidence"))
        }
    }
}

/// One table for each device, and exit code 1 if anything is denied.
fn shown(devices: Vec<Value>, json: bool) -> Outcome {
    let releases = || devices.iter().flat_map(|device| device["releases"].as_array().into_iter().flatten());
    let denied = releases().filter(|row| row["allow"] != true).count();
    let all = releases().count();
    if json {
        out::json(&Value::Array(devices.clone()))?;
    } else {
        let table = |device: &Value| {
            let appraised = match device["appraised"].as_u64() {
                Some(at) => format!("appraised {at}"),
                None => "never appraised".into(),
            };
            let rows = device["releases"].as_array().map(Vec::as_slice).unwrap_or_default();
            let rows: Vec<String> = rows.iter().map(release).collect();
            let cut = if device["cut"] == true { "\n  and more" } else { "" };
            format!("device {}, {appraised}\n{}{cut}", word(&device["device"]), rows.join("\n"))
        };
        out::lines(&devices.iter().map(table).collect::<Vec<_>>().join("\n\n"))?;
    }
    if all == 0 {
        eprintln!("there is nothing to release");
    }
    match denied {
        0 => Ok(()),
        _ => Err(Fail::new(codes::RELEASE_DENIED, format_args!("{denied} of {all} releases are denied"))),
    }
}

fn release(row: &Value) -> String {
    let name = format!("{} {}", word(&row["manifest"]), row["sequence"]);
    let what = if row["installed"].is_null() { "install" } else { "update" };
    match row["allow"].as_bool() {
        Some(true) => format!("  allow  {what:<7}  {name}"),
        _ => format!("  deny   {what:<7}  {name}  {} {}", word(&row["code"]), word(&row["reason"])),
    }
}

fn fleet(rest: &Rest, policy: Option<&str>, json: bool) -> Outcome {
    let mut devices: Vec<Value> = Vec::new();
    let mut after = String::new();
    loop {
        let trial = json!({ "policy": policy });
        let mut page = rest.post(&format!("/release-policy/test?limit=100{after}"), &trial)?;
        devices.append(page["items"].as_array_mut().unwrap_or(&mut Vec::new()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", encode(next)),
            None => break,
        }
    }
    let changes: Vec<(&Value, &Value)> = devices
        .iter()
        .flat_map(|device| device["changes"].as_array().into_iter().flatten().map(move |row| (device, row)))
        .collect();
    let worse = changes.iter().filter(|(_, row)| row["allow"] != true).count();
    if json {
        out::json(&Value::Array(devices.clone()))?;
    } else {
        let sum = |name: &str| devices.iter().filter_map(|device| device[name].as_u64()).sum::<u64>();
        let without = devices.iter().filter(|device| device["denied"] == 0).count();
        let mut lines = vec![
            format!(
                "{} devices: {without} are given everything, {} are denied something",
                devices.len(),
                devices.len() - without
            ),
            format!("releases: {} allowed, {} denied", sum("allowed"), sum("denied")),
            format!("changes: {}", changes.len()),
        ];
        for (device, row) in &changes {
            lines.push(format!("  {:.16}{}", word(&device["device"]), release(row)));
        }
        out::lines(&lines.join("\n"))?;
    }
    match worse {
        0 => Ok(()),
        _ => {
            let why = format_args!("{worse} releases that devices are given now would be denied");
            Err(Fail::new(codes::RELEASE_DENIED, why))
        }
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}
