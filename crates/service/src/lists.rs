//! Revocation lists of CAs, from files that something else renews.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tamarack_model::codes;
use tamarack_pki::lists_from_pem;
use tamarack_x509::crl;
use toml::Spanned;

use crate::{Document, Error};

/// The files, and what was last read of them.
#[derive(Default)]
pub struct Lists {
    /// For each CA.
    files: Vec<Option<PathBuf>>,
    read: Mutex<Vec<Vec<Vec<u8>>>>,
}

impl Lists {
    /// The file of another CA, and what it held. Both stay in the order in which they are added.
    pub fn add(&mut self, file: Option<PathBuf>, lists: Vec<Vec<u8>>) {
        self.files.push(file);
        self.read.get_mut().unwrap_or_else(PoisonError::into_inner).push(lists);
    }

    /// What was last read.
    pub fn current(&self) -> Vec<Vec<Vec<u8>>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the files hold now, if that is something new.
    pub fn reread(&self) -> Result<Option<Vec<Vec<Vec<u8>>>>, Error> {
        let lists = self.files.iter().map(|file| file.as_deref().map_or(Ok(Vec::new()), read));
        let lists = lists.collect::<Result<Vec<_>, _>>()?;
        let mut before = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *before == lists {
            return Ok(None);
        }
        before.clone_from(&lists);
        Ok(Some(lists))
    }
}

/// The file that a configuration names under `key`, and what it holds; nothing if it names none.
pub fn named(
    config: &Document,
    file: Option<&Spanned<PathBuf>>,
    key: &str,
) -> Result<(Option<PathBuf>, Vec<Vec<u8>>), Error> {
    let Some(file) = file else { return Ok((None, Vec::new())) };
    let path = config.path(file.get_ref());
    let lists = read(&path).map_err(|e| config.wrong(file.span(), key, e))?;
    Ok((Some(path), lists))
}

/// Reads a PEM file of revocation lists, each of which must be complete.
fn read(path: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let pem = fs::read_to_string(path).map_err(|e| Error::unreadable(path, &e))?;
    let lists = lists_from_pem(&pem).map_err(|e| Error::new(e.code(), e))?;
    match lists.iter().all(|list| crl::is_readable(list)) {
        true => Ok(lists),
        false => Err(Error::new(codes::OCSP_MALFORMED, "it holds what is no complete revocation list")),
    }
}

#[cfg(test)]
mod tests {
    use tamarack_crypto::KeyType;
    use tamarack_pki::{Authority, Revocations, Validity, list_to_pem};
    use tamarack_x509::Role;

    use super::*;

    #[test]
    fn a_changed_file_counts_and_a_broken_one_does_not() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("tee.crl");
        let authority =
            Authority::create(Role::Tee, "x", KeyType::P256, Validity::days(1_800_000_000, 9)).unwrap();
        let list = |at| authority.revocation_list(&Revocations::default(), at, 60).unwrap();
        let write = |der: &[u8]| fs::write(&file, list_to_pem(der).unwrap()).unwrap();
        let (old, new) = (list(1_800_000_000), list(1_800_000_001));
        let mut lists = Lists::default();
        lists.add(None, Vec::new());
        lists.add(Some(file.clone()), vec![old.clone()]);
        assert_eq!(lists.current(), [vec![], vec![old.clone()]]);
        write(&old);
        assert_eq!(lists.reread().unwrap(), None);
        write(&new);
        assert_eq!(lists.reread().unwrap(), Some(vec![vec![], vec![new.clone()]]));
        assert_eq!(lists.reread().unwrap(), None);
        write(&new[..9]);
        assert_eq!(lists.reread().unwrap_err().code(), codes::OCSP_MALFORMED);
        fs::remove_file(&file).unwrap();
        assert_eq!(lists.reread().unwrap_err().code(), codes::FILE_UNREADABLE);
        write(&new);
        assert_eq!(lists.reread().unwrap(), None);
    }
}
