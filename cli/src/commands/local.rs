//! The journal of a single user, without tokens, made when there is none.

use std::path::Path;

use cku_authority::{Admin, Control, Floor, Genesis};
use cku_engine::Bundle;
use cku_gates::Authentication;
use cku_journal::Journal;

use super::init;
use crate::{exit::Exit, journal, output};

/// Makes a journal for the one who runs cku here, and says so to them; every decision in it says that nobody
/// proved who they are.
pub(super) fn make(path: &Path, bundle: &Bundle) -> Result<Journal, Exit> {
    let journal = make_quietly(path, bundle)?;
    output::note(format_args!("{}\n`cku init` makes one for several people\n\n", made(path)));
    Ok(journal)
}

/// What is said of a journal that was made.
pub(super) fn made(path: &Path) -> String {
    format!("made a journal for a single user, without tokens: {}", path.display())
}

/// Makes it, and leaves it to others to say so.
pub(super) fn make_quietly(path: &Path, bundle: &Bundle) -> Result<Journal, Exit> {
    let genesis = Genesis {
        admin: Admin { issuer: None, principal: journal::local_user() },
        authentication: Authentication::Local,
        audience: "cku".to_owned(),
        keys: Vec::new(),
        bundles: [("gates".to_owned(), bundle.revision())].into(),
        control: Control::Files,
        directory: None,
        floor: Floor::default(),
    };
    init::create(path, &genesis, bundle, None)
}
