//! Where a proposed bundle comes from: a folder, or a commit of git.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    process::Command,
    sync::Arc,
};

use cku_base::Digest;
use cku_engine::{Bundle, LoadError, Sources};

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
    /// Why it is wanted, where that can be told.
    pub(super) title: Option<String>,
}

/// Why there is no bundle.
pub(super) enum Refused {
    /// In one line.
    Line(String),
    /// With its place in the bundle's files.
    Bundle(LoadError, PathBuf),
}

impl Refused {
    /// Shows it.
    pub(super) fn show(&self) -> Exit {
        match self {
            Self::Line(why) => journal::refuse(why),
            Self::Bundle(error, dir) => {
                diagnostics::show_of_bundle(&error.diagnostics, dir, Format::Pretty);
                Exit::Bundle
            }
        }
    }
}

/// The bundle in a folder as it is.
pub(super) fn folder(dir: &Path) -> Result<Proposed, Exit> {
    let bundle = load::bundle(dir, Format::Pretty)?;
    Ok(Proposed { bundle, base: None, origin: "a folder".to_owned(), title: None })
}

/// The bundle in a folder as it is; what is wrong with it is not shown yet.
pub(super) fn quiet_folder(dir: &Path) -> Result<Proposed, Refused> {
    let bundle = Bundle::load(dir).map_err(|error| Refused::Bundle(error, dir.to_owned()))?;
    Ok(Proposed { bundle: Arc::new(bundle), base: None, origin: "a folder".to_owned(), title: None })
}

/// The bundle of a folder as a git ref has it now.
pub(super) fn git_ref(reference: &str, dir: &Path) -> Result<Proposed, Refused> {
    if reference.is_empty() || reference.starts_with('-') {
        return Err(Refused::Line(format!("`{}` is no ref of git", foreign(reference))));
    }
    let commit = commit_of(reference, dir)?;
    let subject = text(&run(dir, &["log", "-1", "--format=%s", &commit])?)?;
    let subject: String = subject.trim().chars().take(200).collect();
    Ok(Proposed {
        bundle: at(&commit, dir)?,
        base: None,
        origin: format!("git {} ({})", foreign(reference), commit.chars().take(12).collect::<String>()),
        title: Some(subject).filter(|subject| !subject.is_empty()),
    })
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
    let found = || Ok((at(from, dir)?, at(to, dir)?, commit_of(to, dir)?));
    let (base, bundle, commit) = found().map_err(|refused: Refused| refused.show())?;
    Ok(Proposed {
        title: None,
        base: Some(base.revision()),
        bundle,
        origin: format!("git {range} ({})", commit.chars().take(12).collect::<String>()),
    })
}

/// The bundle in a folder as it was in a commit.
fn at(commit: &str, dir: &Path) -> Result<Arc<Bundle>, Refused> {
    let commit = commit_of(commit, dir)?;
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
            return Err(Refused::Line(format!(
                "`{}` is no plain file in {commit}; a bundle has no links",
                foreign(path)
            )));
        }
        let bytes = run(dir, &["cat-file", "blob", object])?;
        let Ok(content) = String::from_utf8(bytes) else {
            return Err(Refused::Line(format!("`{}` is no UTF-8 text in {commit}", foreign(path))));
        };
        files.insert(path.to_owned(), content);
    }
    let bundle = Bundle::from_sources(Sources::from_files(files)).map(Arc::new);
    bundle.map_err(|error| Refused::Bundle(error, dir.to_owned()))
}

/// The commit that a name stands for now.
fn commit_of(name: &str, dir: &Path) -> Result<String, Refused> {
    let commit = text(&run(dir, &["rev-parse", "--verify", &format!("{name}^{{commit}}")])?)?;
    Ok(commit.trim().to_owned())
}

fn run(dir: &Path, arguments: &[&str]) -> Result<Vec<u8>, Refused> {
    let output = Command::new("git").arg("-C").arg(dir).args(arguments).output();
    let output = output.map_err(|error| Refused::Line(format!("git cannot be run: {error}")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Refused::Line(format!("git {}: {}", arguments.join(" "), foreign(said.trim()))))
}

fn text(bytes: &[u8]) -> Result<String, Refused> {
    let text = String::from_utf8(bytes.to_vec());
    text.map_err(|_| Refused::Line("git names a file that is no UTF-8 text".to_owned()))
}
