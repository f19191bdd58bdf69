//! A folder of policies that is looked at again and again: read only when something in it changed.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use cku_engine::Bundle;

use crate::load;

/// Folders in folders; a link that leads back up is not followed for ever.
const DEPTH: usize = 16;

/// What tells whether files are others now: file, size, and when it was changed, by path.
type Seen = BTreeMap<PathBuf, (u64, u64, i64, i64)>;

type Loaded = Result<Arc<Bundle>, String>;

/// The bundle of a folder, or the one that is built into cku.
#[derive(Debug, Default)]
pub(super) struct Files {
    directory: Option<PathBuf>,
    last: Mutex<Option<(Seen, Loaded)>>,
}

impl Files {
    /// Of which this is what was read just now.
    pub(super) fn new(directory: Option<PathBuf>, read: Arc<Bundle>) -> Self {
        // Whatever changed since then is read again: nothing was seen yet but where nothing can change.
        let last = directory.is_none().then(|| (Seen::new(), Ok(read)));
        Self { directory, last: Mutex::new(last) }
    }

    /// What the files hold now.
    pub(super) fn load(&self) -> Loaded {
        let mut seen = Seen::new();
        if let Some(directory) = &self.directory {
            look(directory, DEPTH, &mut seen);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, loaded)) = &*last
            && *before == seen
        {
            return loaded.clone();
        }
        let loaded = load::quietly(self.directory.as_deref());
        *last = Some((seen, loaded.clone()));
        loaded
    }
}

/// Notes the files below a folder; links are followed, as the bundle follows them.
fn look(folder: &Path, depth: usize, seen: &mut Seen) {
    let Some(entries) = fs::read_dir(folder).ok().filter(|_| depth > 0) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let Ok(found) = fs::metadata(&path) else { continue };
        if found.is_dir() {
            look(&path, depth - 1, seen);
        } else {
            seen.insert(path, (found.ino(), found.size(), found.mtime(), found.mtime_nsec()));
        }
    }
}
