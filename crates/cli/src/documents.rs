//! Every command that a document or an error's explanation names exists, with each of its options.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use tamarack_model::CODES;

use crate::Cli;

/// What a text would have people type: behind `tamarack` at the beginning of a line, of a code span or of a part of a script.
fn commands(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ").replace("$(", "\n").replace("&& ", "\n").replace("$ ", "\n");
    let parts = text.split(['\n', '`', '|']).map(str::trim);
    let own = parts.filter_map(|part| part.strip_prefix("tamarack "));
    own.map(|part| part.split(['#', '>']).next().unwrap_or_default().to_owned()).collect()
}

/// The first word that the command line does not know.
fn unknown(root: &Command, words: &str) -> Option<String> {
    let mut command = root;
    let mut words = words.split_whitespace().peekable();
    while let Some(next) = words.peek().and_then(|word| command.find_subcommand(word)) {
        command = next;
        words.next();
    }
    let is_word = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    if let Some(word) = words.peek().filter(|word| is_word(word) && !word.starts_with('-'))
        && command.has_subcommands()
    {
        return Some((*word).to_owned());
    }
    let options = words.filter_map(|word| word.trim_matches(['[', '(', '"']).strip_prefix("--"));
    let names = options.map(|option| {
        option.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).next().unwrap_or_default()
    });
    let has = |name: &str| command.get_arguments().any(|argument| argument.get_long() == Some(name));
    names.filter(|name| !name.is_empty()).find(|name| !has(name)).map(|name| format!("--{name}"))
}

fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

#[test]
fn every_command_that_a_document_shows_exists() {
    let mut root = Cli::command();
    root.build();
    assert_eq!(unknown(&root, "agent status").as_deref(), Some("status"));
    assert_eq!(unknown(&root, "app list --jsno").as_deref(), Some("--jsno"));
    assert_eq!(unknown(&root, "app --device d invoke com.acme/x/ta 1 out:value --json"), None);

    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md"]
        .iter()
        .map(|name| top.join(name))
        .collect();
    documents(&top.join("docs"), &mut files);
    documents(&top.join("sdk"), &mut files);
    documents(&top.join("examples"), &mut files);
    let texts = files.iter().map(|file| (file.display().to_string(), std::fs::read_to_string(file).unwrap()));
    let explained = CODES.iter().map(|info| (info.code.to_string(), format!("{}\n{}", info.cause, info.fix)));
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (place, text) in texts.chain(explained) {
        for command in commands(&text) {
            seen += 1;
            if let Some(word) = unknown(&root, &command) {
                wrong.push(format!("{place}: {word} in: tamarack {command}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 150, "only {seen} commands found");
}
