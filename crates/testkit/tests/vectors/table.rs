use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What became of one vector file.
enum Row {
    Passed(String),
    Excepted(String),
    Failed(String),
}

/// The table of all vectors and what became of them.
pub struct Table {
    root: PathBuf,
    exceptions: BTreeMap<String, String>,
    rows: BTreeMap<String, Row>,
}

impl Table {
    /// A table over the vectors below `root`, with the reasons of `vectors/exceptions.toml`.
    pub fn new(root: &Path) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/exceptions.toml");
        let text = std::fs::read_to_string(&file).expect("vectors/exceptions.toml is in the repository");
        let tables: BTreeMap<String, BTreeMap<String, String>> =
            toml::from_str(&text).expect("exceptions.toml parses");
        let exceptions = tables.get("vectors").cloned().unwrap_or_default();
        Self { root: root.to_owned(), exceptions, rows: BTreeMap::new() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Records what became of the vector `name` (its path below the root): `Ok` with what was shown, or `Err` with why it
    /// did not do what its publisher says. The latter needs an exception that begins the same way.
    pub fn record(&mut self, name: &str, outcome: Result<String, String>) {
        let row = match (outcome, self.exceptions.get(name)) {
            (Ok(shown), None) => Row::Passed(shown),
            (Ok(shown), Some(_)) => Row::Failed(format!("listed as an exception, but passes: {shown}")),
            (Err(why), None) => Row::Failed(why),
            (Err(why), Some(reason)) => Row::Excepted(format!("{reason} ({why})")),
        };
        self.rows.insert(name.to_owned(), row);
    }

    /// Prints the table; fails if a row failed, if a file of `families` has no row, or if an exception names no file.
    pub fn finish(self, families: &[&str]) {
        let index = std::fs::read_to_string(self.root.join("INDEX.tsv")).expect("INDEX.tsv");
        let mut missing = Vec::new();
        let mut elsewhere: BTreeMap<&str, usize> = BTreeMap::new();
        for line in index.lines().skip(1) {
            let mut columns = line.split('\t');
            let (Some(path), Some(family)) = (columns.next(), columns.next()) else { continue };
            if !families.contains(&family) {
                *elsewhere.entry(family).or_default() += 1;
            } else if !self.rows.contains_key(path) {
                missing.push(path);
            }
        }
        let (mut passed, mut excepted, mut failed) = (0, 0, Vec::new());
        for (name, row) in &self.rows {
            match row {
                Row::Passed(shown) => {
                    passed += 1;
                    println!("pass    {name}: {shown}");
                }
                Row::Excepted(reason) => {
                    excepted += 1;
                    println!("except  {name}: {reason}");
                }
                Row::Failed(why) => {
                    println!("FAIL    {name}: {why}");
                    failed.push(name);
                }
            }
        }
        for (family, files) in &elsewhere {
            println!("later   {family}: {files} files of a family that no capability uses yet");
        }
        println!("vectors: {passed} pass, {excepted} named exceptions, {} fail", failed.len());
        let stale: Vec<_> = self.exceptions.keys().filter(|name| !self.rows.contains_key(*name)).collect();
        assert!(failed.is_empty(), "failed: {failed:?}");
        assert!(missing.is_empty(), "not accounted for: {missing:?}");
        assert!(stale.is_empty(), "exceptions for no file: {stale:?}");
    }
}
