//! What a step tells: sentences for people, facts for `--json`.

use anyhow::{Result, ensure};
use serde_json::{Map, Value as Json, json};
use tamarack_model::Code;

use super::world::Digests;

/// Collects what a step has to say.
#[derive(Default)]
pub struct Story {
    /// Sentences, in order.
    pub lines: Vec<String>,
    /// Facts by name.
    pub facts: Map<String, Json>,
    refusals: Vec<Json>,
}

/// An attempt that was refused.
pub struct Refusal<'a> {
    /// What was tried.
    pub attempt: &'a str,
    /// Who refused.
    pub by: &'a str,
    /// The protocol's answer, such as "error 17" or "HTTP 400".
    pub answer: String,
    /// The stable code.
    pub code: Code,
}

impl Story {
    /// A sentence.
    pub fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// A fact.
    pub fn fact(&mut self, name: &str, value: impl Into<Json>) {
        self.facts.insert(name.into(), value.into());
    }

    /// An attempt that was refused as it should be; it must have left all digests alone.
    pub fn refused(&mut self, refusal: Refusal<'_>, before: &Digests, after: &Digests) -> Result<()> {
        let Refusal { attempt, by, answer, code } = refusal;
        let title = code.info().map_or("", |info| info.title);
        self.say(format!("tried:   {attempt}"));
        self.say(format!("refused: by {by}, {answer}, {code} {title}"));
        self.refusals.push(json!({
            "attempt": attempt, "refused_by": by, "answer": answer, "code": code.to_string(),
            "state_digest": { "before": before.devices, "after": after.devices },
            "registry_digest": { "before": before.registry, "after": after.registry },
        }));
        ensure!(
            before == after,
            "{attempt}: refused, and yet something changed: {before:?} became {after:?}"
        );
        Ok(())
    }

    /// The last words about refusals: the digests in short.
    pub fn unchanged(&mut self, digests: &Digests) {
        let short = |digest: &String| digest.get(..12).unwrap_or(digest).to_owned();
        let devices: Vec<String> = digests.devices.iter().map(short).collect();
        self.say(format!(
            "state:   devices {}, registry {}: the same before and after",
            devices.join(" and "),
            short(&digests.registry)
        ));
    }

    /// Everything as JSON.
    pub fn detail(mut self, error: Option<String>) -> Json {
        self.facts.insert("text".into(), json!(self.lines.join("\n")));
        if !self.refusals.is_empty() {
            self.facts.insert("refusals".into(), Json::Array(self.refusals));
        }
        if let Some(error) = error {
            self.facts.insert("error".into(), json!(error));
        }
        Json::Object(self.facts)
    }
}
