//! Where steps work, and where what they change is kept for undo.

use std::{
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

/// The folder that the steps of a run may write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    root: PathBuf,
    backups: PathBuf,
    journal: Option<PathBuf>,
}

/// A folder that cannot be a workspace.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// It is not there, or cannot be used.
    #[error("the workspace `{path}` cannot be used: {error}; name a folder that is there")]
    Unusable {
        /// The folder.
        path: String,
        /// What is wrong.
        error: std::io::Error,
    },
    /// It is no folder.
    #[error("the workspace `{0}` is no folder")]
    NoFolder(String),
    /// What cku keeps of the run would lie where steps can write.
    #[error(
        "`{inside}` lies inside the workspace `{workspace}`, where steps could change it; name another workspace, or keep the journal elsewhere"
    )]
    Exposed {
        /// What cku keeps.
        inside: String,
        /// The workspace.
        workspace: String,
    },
}

impl Workspace {
    /// Whether a folder can be a workspace beside what cku keeps; nothing is made, and what is kept need
    /// not be there yet.
    pub fn check(root: &Path, kept: &Path) -> Result<(), WorkspaceError> {
        let canonical = folder(root)?;
        let real = real(kept);
        match real.starts_with(&canonical) {
            true => Err(WorkspaceError::Exposed {
                inside: real.display().to_string(),
                workspace: canonical.display().to_string(),
            }),
            false => Ok(()),
        }
    }

    /// A folder that is there, with a folder for backups that only cku reads; it is made.
    pub fn open(root: &Path, backups: &Path) -> Result<Self, WorkspaceError> {
        let unusable =
            |path: &Path, error| WorkspaceError::Unusable { path: path.display().to_string(), error };
        let canonical = folder(root)?;
        let exposed = |inside: &Path| WorkspaceError::Exposed {
            inside: inside.display().to_string(),
            workspace: canonical.display().to_string(),
        };
        // Looked at before anything is made there, and again by its real name.
        if std::path::absolute(backups).is_ok_and(|b| b.starts_with(&canonical)) {
            return Err(exposed(backups));
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(backups)
            .map_err(|e| unusable(backups, e))?;
        let backups = fs::canonicalize(backups).map_err(|e| unusable(backups, e))?;
        if backups.starts_with(&canonical) {
            return Err(exposed(&backups));
        }
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&backups, private).map_err(|e| unusable(&backups, e))?;
        Ok(Self { root: canonical, backups, journal: None })
    }

    /// Keeps steps away from a journal, too: the file, and those that lie beside it under its name.
    pub fn beside(self, journal: &Path) -> Result<Self, WorkspaceError> {
        let unusable = |error| WorkspaceError::Unusable { path: journal.display().to_string(), error };
        let journal = fs::canonicalize(journal).map_err(unusable)?;
        if journal.starts_with(&self.root) {
            return Err(WorkspaceError::Exposed {
                inside: journal.display().to_string(),
                workspace: self.root.display().to_string(),
            });
        }
        Ok(Self { journal: Some(journal), ..self })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where backups are, outside of it.
    pub fn backups(&self) -> &Path {
        &self.backups
    }

    /// What cku keeps that could be changed by whoever may write below a place, given by its real name.
    pub(crate) fn exposes(&self, place: &Path) -> Option<&Path> {
        if self.backups.starts_with(place) || place.starts_with(&self.backups) {
            return Some(&self.backups);
        }
        let journal = self.journal.as_deref()?;
        // Its own files are named after it: `journal.db-wal`, `journal.db-claims/…`.
        let of_journal = |place: &Path| match (place.parent() == journal.parent(), place.file_name()) {
            (true, Some(name)) => {
                let rest = journal.file_name().and_then(|own| name.as_bytes().strip_prefix(own.as_bytes()));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"-"))
            }
            _ => false,
        };
        (journal.starts_with(place) || place.ancestors().any(of_journal)).then_some(journal)
    }
}

/// The real name of a folder that is there.
fn folder(root: &Path) -> Result<PathBuf, WorkspaceError> {
    let canonical = fs::canonicalize(root)
        .map_err(|error| WorkspaceError::Unusable { path: root.display().to_string(), error })?;
    match canonical.is_dir() {
        true => Ok(canonical),
        false => Err(WorkspaceError::NoFolder(root.display().to_string())),
    }
}

/// The real name that a file has or will have: that of what is there of it, and the rest as it is.
fn real(path: &Path) -> PathBuf {
    let Ok(absolute) = std::path::absolute(path) else { return path.to_owned() };
    let there = absolute.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)));
    match there {
        Some((above, real)) => absolute.strip_prefix(above).map_or(real.clone(), |rest| match rest {
            rest if rest.as_os_str().is_empty() => real,
            rest => real.join(rest),
        }),
        None => absolute,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cku_keeps_lies_outside() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        fs::create_dir(&work).unwrap();
        let open = |backups: &str| Workspace::open(&work, &folder.path().join(backups));
        assert!(matches!(open("work/backups"), Err(WorkspaceError::Exposed { .. })));
        std::os::unix::fs::symlink(&work, folder.path().join("link")).unwrap();
        fs::create_dir(work.join("b")).unwrap();
        assert!(matches!(open("link/b"), Err(WorkspaceError::Exposed { .. })));
        assert!(!work.join("backups").exists());
        let good = open("backups").unwrap();
        assert_eq!(fs::metadata(good.backups()).unwrap().permissions().mode() & 0o777, 0o700);
        let missing =
            Workspace::open(&folder.path().join("none"), &folder.path().join("backups")).unwrap_err();
        assert!(missing.to_string().contains("name a folder that is there"), "{missing}");
        fs::write(folder.path().join("file"), "").unwrap();
        let file = Workspace::open(&folder.path().join("file"), &folder.path().join("backups"));
        assert!(matches!(file, Err(WorkspaceError::NoFolder(_))));
    }

    #[test]
    fn a_workspace_is_checked_before_anything_is_made() {
        let top = tempfile::tempdir().unwrap();
        let work = top.path().join("work");
        fs::create_dir(&work).unwrap();
        std::os::unix::fs::symlink(&work, top.path().join("link")).unwrap();
        for inside in ["work/journal.db", "work/new/journal.db", "link/new/journal.db"] {
            let checked = Workspace::check(&work, &top.path().join(inside));
            assert!(matches!(checked, Err(WorkspaceError::Exposed { .. })), "{inside}");
        }
        Workspace::check(&work, &top.path().join("new/journal.db")).unwrap();
        assert!(Workspace::check(&top.path().join("none"), &top.path().join("journal.db")).is_err());
        assert!(!top.path().join("new").exists() && !work.join("new").exists());
    }

    #[test]
    fn what_is_kept_is_exposed_from_above_from_within_and_by_the_names_of_the_journal() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        for name in ["work", "state", "state/journal.db-claims", "state/journal.dbx"] {
            fs::create_dir(top.join(name)).unwrap();
        }
        fs::write(top.join("state/journal.db"), "").unwrap();
        let workspace = Workspace::open(&top.join("work"), &top.join("backups")).unwrap();
        let workspace = workspace.beside(&top.join("state/journal.db")).unwrap();
        let exposed = |name: &str| workspace.exposes(&top.join(name)).is_some();
        for name in [
            "",
            "/",
            "state",
            "backups",
            "backups/files",
            "state/journal.db",
            "state/journal.db-wal",
            "state/journal.db-claims/x",
        ] {
            assert!(exposed(name), "{name}");
        }
        for name in ["work", "other", "state/journal.dbx", "state/other"] {
            assert!(!exposed(name), "{name}");
        }
        let within = Workspace::open(&top.join("state"), &top.join("backups")).unwrap();
        assert!(matches!(within.beside(&top.join("state/journal.db")), Err(WorkspaceError::Exposed { .. })));
    }
}
