mod permissions;

use serde_json::json;
use tamarack_model::{CODES, Code, CodeInfo, codes};

use crate::fail::{Fail, Outcome};
use crate::out;

#[derive(clap::Args)]
pub struct Args {
    /// The code, as TMK-1103 or 1103; all of them without one. Or `permissions`: who may do what
    code: Option<String>,
    /// With `permissions`: the role whose permissions, and where each is enforced
    role: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// With `permissions`: print the document docs/permissions.md
    #[arg(long, conflicts_with_all = ["json", "role"])]
    markdown: bool,
}

pub fn run(args: Args) -> Outcome {
    if args.code.as_deref() == Some("permissions") {
        return permissions::run(args.role.as_deref(), args.json, args.markdown);
    }
    if args.role.is_some() || args.markdown {
        return Err(Fail::input(
            codes::USAGE,
            "a role and --markdown go with `tamarack explain permissions`",
        ));
    }
    let rows: Vec<&CodeInfo> = match &args.code {
        None => CODES.iter().collect(),
        Some(text) => {
            let known = Code::parse(text).and_then(Code::info);
            let unknown = || {
                Fail::input(
                    codes::USAGE,
                    format_args!(
                        "there is no code '{text}'; `tamarack explain` lists them all, `tamarack explain permissions` says who may do what"
                    ),
                )
            };
            vec![known.ok_or_else(unknown)?]
        }
    };
    if args.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|r| json!({"code": r.code.to_string(), "title": r.title, "cause": r.cause, "fix": r.fix}))
            .collect();
        return out::json(&json!(rows));
    }
    if args.code.is_none() {
        let list: String = rows.iter().map(|r| format!("{}  {}\n", r.code, r.title)).collect();
        return out::lines(&list);
    }
    let r = rows[0];
    out::lines(&format!("{}: {}\n  cause: {}\n  fix:   {}", r.code, r.title, r.cause, r.fix))
}
