//! Files inside the workspace: no name and no link leads out of it.
//!
//! Folders are opened with `openat2` and `RESOLVE_BENEATH`, so that the kernel itself refuses what
//! leads out, whatever changes meanwhile.

use std::{
    fs,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use cku_base::Digest;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, fsync, mkdirat, open, openat2, renameat,
    statat, unlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureClass};

/// The most bytes of a file that is changed.
pub(super) const LARGEST: u64 = 256 << 20;

/// How a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum State {
    /// Not there.
    Absent,
    /// There.
    File {
        /// Of its bytes.
        digest: Digest,
        /// Its permissions.
        mode: u32,
    },
}

/// The workspace, opened for one effect.
pub(super) struct Root {
    folder: OwnedFd,
    /// What tells this effect from others that write the same file at the same time.
    key: Digest,
}

impl Root {
    /// Opens it; all tries of one effect give the same key.
    pub(super) fn open(path: &Path, key: &str) -> Result<Self, Failure> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = open(path, flags, Mode::empty()).map_err(|e| failed("the workspace", e))?;
        Ok(Self { folder, key: Digest::of(key.as_bytes()) })
    }

    /// How a file is now.
    pub(super) fn state(&self, path: &str) -> Result<State, Failure> {
        match self.open_file(path)? {
            None => Ok(State::Absent),
            Some((file, mode)) => {
                let digest = Digest::of(&read_all(file, path)?);
                Ok(State::File { digest, mode })
            }
        }
    }

    /// The bytes of a file; none where there is none.
    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.open_file(path)?.map(|(file, _)| read_all(file, path)).transpose()
    }

    /// Opens a file and its mode; none where there is none. A link, a folder or a device is refused.
    fn open_file(&self, path: &str) -> Result<Option<(OwnedFd, u32)>, Failure> {
        let (parent, name) = match self.parent(path) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed(path, error)),
        };
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed(path, error)),
            Ok(stat) => regular(path, FileType::from_raw_mode(stat.st_mode))?,
        }
        // Not waited for: should it be a pipe by now, opening it must not hang.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat2(&parent, name, flags, Mode::empty(), beneath()).map_err(|e| failed(path, e))?;
        let stat = fstat(&file).map_err(|e| failed(path, e))?;
        regular(path, FileType::from_raw_mode(stat.st_mode))?;
        Ok(Some((file, stat.st_mode & 0o7777)))
    }

    /// Writes a whole file: beside it first, then in its place.
    pub(super) fn write(&self, path: &str, bytes: &[u8], mode: u32) -> Result<(), Failure> {
        let (parent, name) = self.parent(path).map_err(|e| failed(path, e))?;
        // The same for each try, so that what an earlier one left is taken away; another for each effect.
        let of = Digest::of(&[self.key.as_bytes().as_slice(), name.as_bytes()].concat());
        let beside = format!(".cku-{}", of.to_string().get(7..23).unwrap_or("beside"));
        let _ = unlinkat(&parent, &beside, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let written = openat2(&parent, &beside, flags, Mode::from_raw_mode(0o600), beneath())
            .map_err(|e| failed(path, e))
            .and_then(|file| {
                let mut file = fs::File::from(file);
                file.write_all(bytes).map_err(|e| Failure::of_io(&shown(path), &e))?;
                fchmod(&file, Mode::from_raw_mode(mode)).map_err(|e| failed(path, e))?;
                file.sync_all().map_err(|e| Failure::of_io(&shown(path), &e))
            })
            .and_then(|()| renameat(&parent, &beside, &parent, name).map_err(|e| failed(path, e)));
        if written.is_err() {
            let _ = unlinkat(&parent, &beside, AtFlags::empty());
        }
        written?;
        fsync(&parent).map_err(|e| failed(path, e))
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), Failure> {
        let (old, old_name) = self.parent(from).map_err(|e| failed(from, e))?;
        let (new, new_name) = self.parent(to).map_err(|e| failed(to, e))?;
        renameat(&old, old_name, &new, new_name).map_err(|e| failed(to, e))?;
        fsync(&new).and_then(|()| fsync(&old)).map_err(|e| failed(to, e))
    }

    pub(super) fn remove(&self, path: &str) -> Result<(), Failure> {
        let (parent, name) = self.parent(path).map_err(|e| failed(path, e))?;
        unlinkat(&parent, name, AtFlags::empty()).and_then(|()| fsync(&parent)).map_err(|e| failed(path, e))
    }

    /// The folders above a file that are not there, the topmost first.
    pub(super) fn missing_dirs(&self, path: &str) -> Result<Vec<String>, Failure> {
        let mut missing = Vec::new();
        for dir in dirs_above(path) {
            match self.open_dir(&dir) {
                Ok(_) => {}
                Err(Errno::NOENT) => missing.push(dir),
                Err(error) => return Err(failed(&dir, error)),
            }
        }
        Ok(missing)
    }

    /// Makes the folders above a file, if it may.
    pub(super) fn make_dirs(&self, path: &str, may: bool) -> Result<(), Failure> {
        if !may {
            return Ok(());
        }
        for dir in self.missing_dirs(path)? {
            let (parent, name) = self.parent(&dir).map_err(|e| failed(&dir, e))?;
            match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(failed(&dir, error)),
            }
            fsync(&parent).map_err(|e| failed(&dir, e))?;
        }
        Ok(())
    }

    /// Removes a folder if it is there and empty.
    pub(super) fn remove_empty_dir(&self, path: &str) -> Result<(), Failure> {
        let Ok((parent, name)) = self.parent(path) else { return Ok(()) };
        match unlinkat(&parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(error) => Err(failed(path, error)),
        }
    }

    /// The folder of a path, opened, and the last name.
    fn parent<'p>(&self, path: &'p str) -> Result<(OwnedFd, &'p str), Errno> {
        match path.rsplit_once('/') {
            Some((dir, name)) => Ok((self.open_dir(dir)?, name)),
            None => Ok((self.open_dir(".")?, path)),
        }
    }

    fn open_dir(&self, path: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        openat2(self.folder.as_fd(), path, flags, Mode::empty(), beneath())
    }
}

fn beneath() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS
}

fn dirs_above(path: &str) -> Vec<String> {
    path.match_indices('/').map(|(at, _)| path.get(..at).unwrap_or_default().to_owned()).collect()
}

fn regular(path: &str, kind: FileType) -> Result<(), Failure> {
    let what = match kind {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a folder",
        FileType::Symlink => "a link",
        FileType::Fifo => "a pipe",
        _ => "a device or a socket",
    };
    Err(Failure::new(
        FailureClass::Conflict,
        format!("`{path}` is {what}; the skill `file` changes files alone"),
    ))
}

fn read_all(file: OwnedFd, path: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = fs::File::from(file).take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|e| Failure::of_io(&shown(path), &e))?;
    if bytes.len() as u64 > LARGEST {
        let message = format!("`{path}` has more than the {LARGEST} bytes that can be kept for undo");
        return Err(Failure::new(FailureClass::Resource, message));
    }
    Ok(bytes)
}

fn shown(path: &str) -> String {
    format!("`{path}`")
}

fn failed(path: &str, error: Errno) -> Failure {
    if error == Errno::XDEV || error == Errno::LOOP {
        let message = format!("`{path}` leads out of the workspace, through a link");
        return Failure::new(FailureClass::Permission, message);
    }
    Failure::of_io(&shown(path), &error.into())
}
