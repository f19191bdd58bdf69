//! Where steps work, and where what they change is kept for undo.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The folder that the steps of a run may write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    root: PathBuf,
    backups: PathBuf,
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
    /// A folder that is there, with a folder for backups that only cku reads; it is made.
    pub fn open(root: &Path, backups: &Path) -> Result<Self, WorkspaceError> {
        let unusable =
            |path: &Path, error| WorkspaceError::Unusable { path: path.display().to_string(), error };
        let canonical = fs::canonicalize(root).map_err(|e| unusable(root, e))?;
        if !canonical.is_dir() {
            return Err(WorkspaceError::NoFolder(root.display().to_string()));
        }
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
        Ok(Self { root: canonical, backups })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where backups are, outside of it.
    pub fn backups(&self) -> &Path {
        &self.backups
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
}
