//! Where a proposed bundle comes from: a folder, or a commit of git.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
    process::Command,
    sync::Arc,
};

use cku_base::Digest;
use cku_engine::{Bundle, Sources};

use crate::{
    exit::Exit,
    journal, load,
    output::Format,
    render::{diagnostics, foreign},
};

/// A bundle that is proposed.
pub(super) struct Proposed {
    /// The bundle as it would be.
    pub(super) bundle: Arc<Bundle>,
    /// The revision it was made from, where git tells it.
    pub(super) base: Option<Digest>,
    /// Where it comes from.
    pub(super) origin: String,
}

/// The bundle in a folder as it is.
pub(super) fn folder(dir: &Path) -> Result<Proposed, Exit> {
    let bundle = load::bundle(dir, Format::Pretty)?;
    Ok(Proposed { bundle, base: None, origin: "a folder".to_owned() })
}

/// The bundle at the end of a range of commits, `A..B`; that at its beginning is the base.
pub(super) fn git(range: &str, dir: &Path) -> Result<Proposed, Exit> {
    let ends = range.split_once("..").filter(|(from, to)| !from.is_empty() && !to.is_empty());
    let Some((from, to)) = ends.filter(|(from, to)| !from.starts_with('-') && !to.starts_with(['-', '.']))
    else {
        return Err(journal::refuse(&format!(
            "`{}` is no range of commits; write it as A..B",
            foreign(range)
        )));
    };
    load::folder(dir, load::OF_A_BUNDLE)?;
    let (base, bundle) = (at(from, dir)?, at(to, dir)?);
    let commit = text(&run(dir, &["rev-parse", "--verify", &format!("{to}^{{commit}}")])?)?;
    Ok(Proposed {
        base: Some(base.revision()),
        bundle,
        origin: format!("git {range} ({})", commit.trim().chars().take(12).collect::<String>()),
    })
}

/// The bundle in a folder as it was in a commit.
fn at(commit: &str, dir: &Path) -> Result<Arc<Bundle>, Exit> {
    let commit = text(&run(dir, &["rev-parse", "--verify", &format!("{commit}^{{commit}}")])?)?;
    let commit = commit.trim();
    let prefix = text(&run(dir, &["rev-parse", "--show-prefix"])?)?;
    let tree = format!("{commit}:{}", prefix.trim().trim_end_matches('/'));
    let listed = run(dir, &["ls-tree", "-r", "-z", "--full-tree", &tree])?;
    let mut files = BTreeMap::new();
    for line in text(&listed)?.split('\0').filter(|line| !line.is_empty()) {
        // MODE blob OBJECT\tPATH
        let Some((meta, path)) = line.split_once('\t') else { continue };
        let mut meta = meta.split(' ');
        let (mode, object) = (meta.next().unwrap_or_default(), meta.nth(1).unwrap_or_default());
        if cku_engine::FileKind::of(path).is_none() {
            continue;
        }
        let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || !mode.starts_with("100") {
            return Err(journal::refuse(&format!(
                "`{}` is no plain file in {commit}; a bundle has no links",
                foreign(path)
            )));
        }
        let bytes = run(dir, &["cat-file", "blob", object])?;
        let Ok(content) = String::from_utf8(bytes) else {
            return Err(journal::refuse(&format!("`{}` is no UTF-8 text in {commit}", foreign(path))));
        };
        files.insert(path.to_owned(), content);
    }
    Bundle::from_sources(Sources::from_files(files)).map(Arc::new).map_err(|error| {
        diagnostics::show_of_bundle(&error.diagnostics, dir, Format::Pretty);
        Exit::Bundle
    })
}

fn run(dir: &Path, arguments: &[&str]) -> Result<Vec<u8>, Exit> {
    let output = Command::new("git").arg("-C").arg(dir).args(arguments).output();
    let output = output.map_err(|error| journal::refuse(&format!("git cannot be run: {error}")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(journal::refuse(&format!("git {}: {}", arguments.join(" "), foreign(said.trim()))))
}

fn text(bytes: &[u8]) -> Result<String, Exit> {
    String::from_utf8(bytes.to_vec()).map_err(|_| journal::refuse("git names a file that is no UTF-8 text"))
}
