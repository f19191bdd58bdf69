//! The key that draws are made with: whoever knows it knows every draw beforehand.

use std::{
    fmt, fs, io,
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// Bytes of a key.
const LENGTH: usize = 32;

/// The key for draws, in a file that only its owner may read.
///
/// That [beside](Self::beside) a journal is read or made when the first draw is made; where it cannot be had then,
/// nothing is drawn, and so nothing explores. With another key every draw is a new one: keep it with the journal.
pub struct ExplorationKey {
    path: PathBuf,
    key: OnceLock<[u8; LENGTH]>,
}

/// Why there is no key; no message holds anything of one.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file was not read or made.
    #[error("the exploration key {} cannot be had: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others than its owner may read or write it.
    #[error("the exploration key {} is open to others: `chmod 600` it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// It is no key.
    #[error("the exploration key {} is not a file of 32 bytes", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
}

impl ExplorationKey {
    /// The key in this file.
    pub fn at(path: PathBuf) -> Self {
        Self { path, key: OnceLock::new() }
    }

    /// The key in a file that somebody named: it is read at once, and none is made where there is none.
    pub fn read_from(path: PathBuf) -> Result<Self, KeyError> {
        let named = Self::at(path);
        let key = named.read()?;
        Ok(Self { key: OnceLock::from(key), ..named })
    }

    /// The key of a journal, which lies beside it: `<journal>.exploration-key`.
    pub fn beside(journal: &Path) -> Self {
        let mut path = journal.as_os_str().to_owned();
        path.push(".exploration-key");
        Self::at(path.into())
    }

    /// The key, read from its file; where there is none, one is made.
    pub(super) fn bytes(&self) -> Result<&[u8; LENGTH], KeyError> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let read = match self.read() {
            Err(KeyError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                self.make().map_err(|error| self.io(error))?;
                self.read()
            }
            read => read,
        };
        let key = read?;
        Ok(self.key.get_or_init(|| key))
    }

    fn read(&self) -> Result<[u8; LENGTH], KeyError> {
        // A pipe in its place is not waited for.
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(&self.path);
        let file = file.map_err(|error| self.io(error))?;
        let found = file.metadata().map_err(|error| self.io(error))?;
        if !found.is_file() {
            return Err(KeyError::NoKey { path: self.path.clone() });
        }
        if found.mode() & 0o077 != 0 {
            return Err(KeyError::Open { path: self.path.clone() });
        }
        let mut bytes = Vec::with_capacity(LENGTH + 1);
        file.take(LENGTH as u64 + 1).read_to_end(&mut bytes).map_err(|error| self.io(error))?;
        bytes.try_into().map_err(|_| KeyError::NoKey { path: self.path.clone() })
    }

    /// Puts a new key in place, whole or not at all; one that somebody else made meanwhile stays.
    fn make(&self) -> io::Result<()> {
        let mut random = [0; LENGTH + 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let (key, name) = random.split_at(LENGTH);
        let mut beside = self.path.as_os_str().to_owned();
        beside.push(format!(".{}", name.iter().map(|byte| format!("{byte:02x}")).collect::<String>()));
        let beside = PathBuf::from(beside);
        let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
        let placed = written.and_then(|mut file| {
            file.write_all(key)?;
            file.sync_all()?;
            match fs::hard_link(&beside, &self.path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                placed => placed,
            }
        });
        let removed = fs::remove_file(&beside);
        placed.and(removed)
    }

    fn io(&self, error: io::Error) -> KeyError {
        KeyError::Io { path: self.path.clone(), error }
    }
}

impl fmt::Debug for ExplorationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExplorationKey").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        let key = ExplorationKey::beside(&journal);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "none is made before it is needed");
        let bytes = *key.bytes().unwrap();
        let path = folder.path().join("journal.db.exploration-key");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        assert_eq!(*ExplorationKey::at(path).bytes().unwrap(), bytes);
        assert_ne!(*ExplorationKey::at(folder.path().join("other")).bytes().unwrap(), bytes);
        let shown = format!("{key:?}");
        assert!(!shown.contains(&format!("{}, {}", bytes[0], bytes[1])), "{shown}");
    }

    #[test]
    fn a_key_that_is_named_is_read_at_once_and_never_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let missing = ExplorationKey::read_from(path.clone()).unwrap_err().to_string();
        assert!(missing.contains("cannot be had"), "{missing}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let bytes = *ExplorationKey::at(path.clone()).bytes().unwrap();
        let named = ExplorationKey::read_from(path.clone()).unwrap();
        fs::remove_file(path).unwrap();
        assert_eq!(*named.bytes().unwrap(), bytes);
    }

    #[test]
    fn those_who_make_it_at_the_same_time_come_to_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let keys: Vec<[u8; LENGTH]> = std::thread::scope(|scope| {
            let made: Vec<_> =
                (0..8).map(|_| scope.spawn(|| *ExplorationKey::at(path.clone()).bytes().unwrap())).collect();
            made.into_iter().map(|key| key.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn what_is_no_key_or_open_to_others_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for (bytes, mode, said) in [
            (vec![7; 32], 0o640, "open to others"),
            (vec![7; 31], 0o600, "not a file of 32 bytes"),
            (vec![7; 33], 0o600, "not a file of 32 bytes"),
            (Vec::new(), 0o600, "not a file of 32 bytes"),
        ] {
            fs::write(&path, &bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = ExplorationKey::at(path.clone()).bytes().unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("7, 7"), "{error}");
            assert_eq!(ExplorationKey::read_from(path.clone()).unwrap_err().to_string(), error);
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        let folder_there = ExplorationKey::at(folder.path().to_owned());
        assert!(folder_there.bytes().unwrap_err().to_string().contains("not a file"));
        let nowhere = ExplorationKey::at(folder.path().join("no/such/folder"));
        assert!(nowhere.bytes().unwrap_err().to_string().contains("cannot be had"));
    }
}
