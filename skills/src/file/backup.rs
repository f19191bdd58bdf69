//! What was there before a step, kept outside the workspace until it may have to be put back.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use cku_base::Digest;
use serde::{Deserialize, Serialize};

use super::place::{Root, State};
use crate::{
    failure::{Failure, FailureClass},
    workspace::Workspace,
};

impl State {
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    pub(super) fn mode(&self) -> Option<u32> {
        match self {
            Self::Absent => None,
            Self::File { mode, .. } => Some(*mode),
        }
    }
}

/// What a step changes of one file.
#[derive(Debug, Serialize, Deserialize)]
struct Changed {
    path: String,
    before: State,
    after: State,
}

/// What a step changes, durable before it does.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Backup {
    key: String,
    changes: Vec<Changed>,
    /// Folders that it makes, the topmost first.
    made: Vec<String>,
    #[serde(skip)]
    folder: PathBuf,
}

/// A backup that is being put together.
pub(super) struct Keeping<'r> {
    root: &'r Root,
    backup: Backup,
    failure: Option<Failure>,
}

impl Backup {
    /// Begins to keep what a step changes.
    pub(super) fn keep<'r>(
        workspace: &Workspace,
        (run, step, key): (&str, &str, &str),
        root: &'r Root,
    ) -> Result<Keeping<'r>, Failure> {
        let folder = folder_of(workspace, run, step, key);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|e| Failure::of_io("what was there cannot be kept", &e))?;
        let backup = Self { key: key.to_owned(), changes: Vec::new(), made: Vec::new(), folder };
        Ok(Keeping { root, backup, failure: None })
    }

    /// What was kept under this key; none where nothing was.
    pub(super) fn read(
        workspace: &Workspace,
        run: &str,
        step: &str,
        key: &str,
    ) -> Result<Option<Self>, Failure> {
        let folder = folder_of(workspace, run, step, key);
        let unreadable = |e: &std::io::Error| Failure::of_io("what was kept for undo cannot be read", e);
        let bytes = match fs::read(folder.join("changes.json")) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&error)),
        };
        let read: Self = serde_json::from_slice(&bytes).map_err(|e| unreadable(&std::io::Error::other(e)))?;
        Ok(Some(Self { folder, ..read }))
    }

    /// Folders that the step makes, the topmost first.
    pub(super) fn made(&self) -> &[String] {
        &self.made
    }

    /// Whether everything is as the step leaves it.
    pub(super) fn is_done(&self, root: &Root) -> Result<bool, Failure> {
        self.all(root, |change, now| change.after == *now)
    }

    /// Whether everything is as it was before the step.
    pub(super) fn is_untouched(&self, root: &Root) -> Result<bool, Failure> {
        self.all(root, |change, now| change.before == *now)
    }

    fn all(&self, root: &Root, holds: impl Fn(&Changed, &State) -> bool) -> Result<bool, Failure> {
        for change in &self.changes {
            if !holds(change, &root.state(&change.path)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts back what was there; what somebody else changed since is a conflict, and stays.
    pub(super) fn restore(&self, root: &Root) -> Result<(), Failure> {
        for change in &self.changes {
            let now = root.state(&change.path)?;
            if now != change.after && now != change.before {
                let message = format!("`{}` was changed after the step; it is not put back", change.path);
                return Err(Failure::new(FailureClass::Conflict, message));
            }
        }
        for change in &self.changes {
            if root.state(&change.path)? == change.before {
                continue;
            }
            match &change.before {
                State::Absent => root.remove(&change.path)?,
                State::File { digest, mode } => {
                    let bytes = fs::read(self.folder.join(name_of(digest)));
                    let bytes =
                        bytes.map_err(|e| Failure::of_io("what was kept for undo cannot be read", &e))?;
                    if Digest::of(&bytes) != *digest {
                        let message =
                            format!("what was kept of `{}` is damaged; it is not put back", change.path);
                        return Err(Failure::new(FailureClass::Unknown, message));
                    }
                    root.write(&change.path, &bytes, *mode)?;
                }
            }
        }
        self.made.iter().rev().try_for_each(|dir| root.remove_empty_dir(dir))
    }
}

impl Keeping<'_> {
    /// Keeps a file as it is, and says how the step leaves it.
    pub(super) fn change(mut self, path: &str, after: State) -> Self {
        if self.failure.is_none() {
            self.failure = self.try_change(path, after).err();
        }
        self
    }

    fn try_change(&mut self, path: &str, after: State) -> Result<(), Failure> {
        let before = match self.root.read(path)? {
            None => State::Absent,
            Some(bytes) => {
                let digest = Digest::of(&bytes);
                durably(&self.backup.folder, &name_of(&digest), &bytes)?;
                let mode = self.root.state(path)?.mode().unwrap_or(0o644);
                State::File { digest, mode }
            }
        };
        self.backup.changes.push(Changed { path: path.to_owned(), before, after });
        Ok(())
    }

    /// Folders that the step makes.
    pub(super) fn made(mut self, dirs: Vec<String>) -> Self {
        self.backup.made = dirs;
        self
    }

    /// Makes it durable.
    pub(super) fn store(self) -> Result<(), Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let text = serde_json::to_vec(&self.backup)
            .map_err(|e| Failure::new(FailureClass::Unknown, e.to_string()))?;
        durably(&self.backup.folder, "changes.json", &text)
    }
}

fn folder_of(workspace: &Workspace, run: &str, step: &str, key: &str) -> PathBuf {
    let key = Digest::of(key.as_bytes());
    workspace.backups().join("files").join(run).join(format!("{step}-{}", name_of(&key)))
}

fn name_of(digest: &Digest) -> String {
    digest.to_string().replace("sha256:", "")
}

fn durably(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let write = || {
        let beside = folder.join(format!("{name}.new"));
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, folder.join(name))?;
        fs::File::open(folder)?.sync_all()
    };
    write().map_err(|e| Failure::of_io("what was there cannot be kept", &e))
}
