//! What an operator does to the files of a TAM: tokens, backup, restore.

use std::fs;
use std::path::Path;

use tamarack_model::codes;
use tamarack_store::{Read, Store};
use tamarack_store_sqlite::{SqliteStore, Summary, check};

use crate::challenge_file::ChallengeFile;
use crate::clock::system_time;
use crate::token::{self, NewToken};
use crate::{Config, Error, secret_file};

/// Makes an API token, which is stored as its hash only. The TAM may run meanwhile.
pub fn add_token(config: &Config, new: &NewToken) -> Result<String, Error> {
    let crypto = tamarack_crypto_aws_lc::provider();
    let store = SqliteStore::open(&config.path(&config.data), crypto)?;
    token::add(&store, new, "tam token", system_time().max(store.time()?), &crypto)
}

/// Copies the store into the new or empty folder `to` and checks the copy. The TAM may run meanwhile. Keys are not copied.
pub fn backup(config: &Config, to: &Path) -> Result<Summary, Error> {
    let crypto = tamarack_crypto_aws_lc::provider();
    let store = SqliteStore::open(&config.path(&config.data), crypto)?;
    let summary = store.backup(to)?;
    // Payloads by URI are known to the catalogue by the digests that manifests demand.
    let copy = SqliteStore::open(to, crypto)?;
    for tenant in copy.tenants()? {
        for component in copy.catalogue(&tenant.id)?.into_iter().flat_map(|entry| entry.components) {
            if let Some(payload) = component.digest.and_then(|digest| store.artifact(&digest.0).ok()) {
                copy.put_artifact(&payload)?;
            }
        }
    }
    Ok(summary)
}

/// Puts a backup in place of a missing or empty data folder. The challenge keys and the replay group are made anew, because
/// the backup does not know which challenges were answered since (security rule C1).
pub fn restore(config: &Config, from: &Path) -> Result<Summary, Error> {
    let crypto = tamarack_crypto_aws_lc::provider();
    let data = config.path(&config.data);
    if fs::read_dir(&data).is_ok_and(|mut inside| inside.next().is_some()) {
        return Err(Error::new(
            codes::FILE_UNWRITABLE,
            format_args!(
                "the data folder {} is not empty; stop the TAM and move it away first",
                data.display()
            ),
        ));
    }
    check(from, crypto)?;
    copy_folder(from, &data)?;
    let summary = check(&data, crypto)?;
    let keys = ChallengeFile::generate(system_time(), &crypto)?;
    secret_file::replace(&config.path(&config.challenge_key), keys.text())?;
    Ok(summary)
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(|e| Error::unwritable(to, &e))?;
    for entry in fs::read_dir(from).map_err(|e| Error::unreadable(from, &e))? {
        let entry = entry.map_err(|e| Error::unreadable(from, &e))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            fs::copy(&source, &target)
                .and_then(|_| fs::File::open(&target)?.sync_all())
                .map_err(|e| Error::unwritable(&target, &e))?;
        }
    }
    fs::File::open(to).and_then(|folder| folder.sync_all()).map_err(|e| Error::unwritable(to, &e))
}
