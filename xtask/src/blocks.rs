//! Runs the commands that the documents show. A fenced block with the info string `sh run` is executed as one script by
//! `bash -eu` in a fresh folder per document (blocks of one document share it), with `tamarack` and the programs of
//! `examples/app` on the path; it fails the task if it fails. The expected output, if the next block is `text expect`, must appear line by line in the output,
//! `..` in a line standing for anything.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::root;

/// A block of commands and what it must print.
struct Block {
    line: usize,
    script: String,
    expect: Vec<String>,
}

pub fn run() -> Result<()> {
    let packages = ["--package", "tamarack-cli", "--package", "example-apps"];
    crate::sh(Command::new("cargo").args(["build", "--release"]).args(packages))?;
    let mut documents = vec![root().join("README.md")];
    for entry in std::fs::read_dir(root().join("docs"))? {
        documents.push(entry?.path());
    }
    documents.sort();
    let mut count = 0;
    for document in documents.iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = std::fs::read_to_string(document)?;
        let blocks = parse(&text);
        if blocks.is_empty() {
            continue;
        }
        let name = document.strip_prefix(root()).unwrap_or(document);
        println!("{}: {} blocks", name.display(), blocks.len());
        let folder = std::env::temp_dir().join(format!("tamarack-blocks-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        let outcome = run_document(&blocks, &folder);
        let _ = std::fs::remove_dir_all(&folder);
        outcome.with_context(|| format!("{}", name.display()))?;
        count += blocks.len();
    }
    println!("{count} blocks ran");
    if count == 0 { bail!("no document has a block to run") } else { Ok(()) }
}

fn run_document(blocks: &[Block], folder: &Path) -> Result<()> {
    // One shell for all blocks of a document, so that background processes and variables live on; the trap ends them.
    let mut script = String::from("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n");
    for block in blocks {
        script += &format!("echo '@@ {}'\n{}\n", block.line, block.script);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    let path = format!("{}:{}", target.join("release").display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("bash")
        .args(["-eu", "-c", &script])
        .current_dir(folder)
        .env("PATH", path)
        .env("TAMARACK_ROOT", root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("a block failed with {}; output so far:\n{text}", output.status);
    }
    for block in blocks {
        let marker = format!("@@ {}\n", block.line);
        let part = text
            .split_once(&marker)
            .map(|(_, rest)| rest.split("\n@@ ").next().unwrap_or(rest))
            .unwrap_or("");
        let mut lines = part.lines();
        for expected in &block.expect {
            if !lines.any(|line| matches(line.trim(), expected.trim())) {
                bail!("line {}: expected '{expected}' in:\n{part}", block.line);
            }
        }
    }
    Ok(())
}

/// Whether `line` is `pattern`, in which `..` stands for anything.
fn matches(line: &str, pattern: &str) -> bool {
    let parts: Vec<&str> = pattern.split("..").collect();
    let mut rest = line;
    for (i, part) in parts.iter().enumerate() {
        let found = match i {
            0 => rest.starts_with(part).then_some(0),
            _ if i == parts.len() - 1 => rest.ends_with(part).then(|| rest.len() - part.len()),
            _ => rest.find(part),
        };
        let Some(at) = found else { return false };
        rest = &rest[at + part.len()..];
    }
    parts.len() > 1 || rest.is_empty()
}

fn parse(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let body: Vec<String> = lines
            .by_ref()
            .map(|(_, line)| line.to_owned())
            .take_while(|line| !line.starts_with("```"))
            .collect();
        match info.trim() {
            "sh run" => blocks.push(Block { line: number + 1, script: body.join("\n"), expect: Vec::new() }),
            "text expect" => {
                if let Some(block) = blocks.last_mut() {
                    block.expect = body;
                }
            }
            _ => {}
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_expectations_are_found() {
        let text = "a\n```sh run\necho hi\n```\n```text expect\nh..\n```\n```sh\nnot run\n```\n";
        let blocks = parse(text);
        assert_eq!(blocks.len(), 1);
        assert_eq!((blocks[0].line, blocks[0].script.as_str()), (2, "echo hi"));
        assert!(matches("hi there", &blocks[0].expect[0]) && !matches("oh", "h.."));
        assert!(matches("ok 12 ms end", "ok .. end") && !matches("ok 12", "ok"));
    }
}
