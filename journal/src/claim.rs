//! Who carries out a piece of work: one at a time, until it says so or is gone.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use cku_base::Digest;

use crate::schema::with_suffix;

/// A piece of work that nobody else carries out until this is dropped, or its process is gone.
///
/// It is a lock of the operating system on a file beside the journal, so it ends with the process
/// that holds it, however that ends.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    file: File,
}

/// Why a claim was not given.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Somebody holds it.
    #[error("it is held by {holder}")]
    Held {
        /// Who, in the words they gave.
        holder: String,
    },
    /// The file beside the journal cannot be used.
    #[error("the lock `{path}` cannot be used: {error}")]
    Unusable {
        /// The file.
        path: String,
        /// What is wrong with it.
        error: std::io::Error,
    },
}

/// Claims a piece of work at the journal in this file.
pub(crate) fn claim(journal: &Path, work: &str, holder: &str) -> Result<Claim, ClaimError> {
    let folder = with_suffix(journal, "-claims");
    let name = Digest::of(work.as_bytes()).to_string().replace("sha256:", "");
    let path = folder.join(name);
    let unusable = |error| ClaimError::Unusable { path: path.display().to_string(), error };
    fs::create_dir_all(&folder).map_err(unusable)?;
    loop {
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open.map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let read = (&mut file).take(256).read_to_string(&mut holder);
                let known = read.is_ok() && !holder.is_empty();
                return Err(ClaimError::Held {
                    holder: if known { holder } else { "another process".to_owned() },
                });
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        // Who held it before takes the file away when it is done: a lock on a file that is gone
        // keeps nobody out.
        let locked = file.metadata().map_err(unusable)?;
        match fs::metadata(&path) {
            Ok(there) if (there.dev(), there.ino()) == (locked.dev(), locked.ino()) => {}
            _ => continue,
        }
        file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())).map_err(unusable)?;
        return Ok(Claim { path, file });
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // While it is still locked; should it stay, the next one locks it as it is.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_claimed_once_and_again_when_it_was_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        let first = claim(&journal, "run:a", "process 1").unwrap();
        let second = claim(&journal, "run:a", "process 2").unwrap_err();
        assert_eq!(second.to_string(), "it is held by process 1");
        let other = claim(&journal, "run:b", "process 2").unwrap();
        drop(first);
        drop(claim(&journal, "run:a", "process 2").unwrap());
        drop(other);
        assert_eq!(fs::read_dir(with_suffix(&journal, "-claims")).unwrap().count(), 0);
    }

    #[test]
    fn many_who_want_it_get_it_one_after_another() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut done = 0;
                    while done < 50 {
                        let Ok(held) = claim(&journal, "run:a", "x") else { continue };
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(held);
                        done += 1;
                    }
                });
            }
        });
    }
}
