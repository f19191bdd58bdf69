//! The files of a bundle: which there are, what each is for, and the digest over them.

use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use cku_base::{
    Digest,
    diagnostic::{Diagnostic, LineIndex, Place},
};
use serde::Serialize;

use crate::manifest::MANIFEST_FILE;

/// Raised when the compiled form of an unchanged bundle changes, so that its revision does too.
pub const LANGUAGE_VERSION: u32 = 1;

const MAX_FILES: usize = 10_000;
const MAX_FILE_BYTES: u64 = 4 << 20;
const MAX_DEPTH: usize = 16;

/// What a file of a bundle is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// `bundle.yaml`.
    Manifest,
    /// `*.gate`.
    Gate,
    /// `*.rego`.
    Rego,
    /// `*.cedar`.
    Cedar,
    /// `*.cedarschema`.
    CedarSchema,
    /// `authzen/**/*.cedar`: policies over questions of other systems.
    AuthzenCedar,
    /// `authzen/**/*.cedarschema`.
    AuthzenSchema,
    /// `data/**/*.{yaml,json}`.
    Data,
    /// `*_test.rego`: not part of the revision.
    RegoTest,
    /// `*_test.yaml`: not part of the revision.
    TableTest,
}

impl FileKind {
    /// What a file at this path is for, if it belongs to a bundle at all.
    pub fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let is_data = path.starts_with("data/");
        match name.rsplit_once('.')? {
            _ if path == MANIFEST_FILE => Some(Self::Manifest),
            (_, "yaml" | "yml" | "json") if is_data => Some(Self::Data),
            (stem, "rego") if stem.ends_with("_test") => Some(Self::RegoTest),
            (stem, "yaml" | "yml") if stem.ends_with("_test") => Some(Self::TableTest),
            (_, "gate") => Some(Self::Gate),
            (_, "rego") => Some(Self::Rego),
            (_, "cedar") if path.starts_with("authzen/") => Some(Self::AuthzenCedar),
            (_, "cedarschema") if path.starts_with("authzen/") => Some(Self::AuthzenSchema),
            (_, "cedar") => Some(Self::Cedar),
            (_, "cedarschema") => Some(Self::CedarSchema),
            _ => None,
        }
    }

    /// Whether it is a test, which is no part of the revision.
    pub fn is_test(self) -> bool {
        matches!(self, Self::RegoTest | Self::TableTest)
    }
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFile {
    /// Relative to the bundle, with `/` between the names.
    pub path: String,
    /// What it is for.
    pub kind: FileKind,
    /// Its text.
    pub text: Arc<str>,
}

/// The files of a bundle, in the order of their paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    files: Vec<BundleFile>,
    ignored: Vec<String>,
    folders: BTreeSet<PathBuf>,
}

impl Sources {
    /// Reads a bundle directory.
    ///
    /// Names that begin with a dot are passed over; links are followed. Files of no known kind are
    /// remembered, so that a misspelt suffix can be pointed out.
    pub fn read_dir(dir: &Path) -> Result<Self, Vec<Diagnostic>> {
        let mut sources = Self::default();
        let mut problems = Vec::new();
        sources.read_below(dir, "", 0, &mut problems);
        if problems.is_empty() { Ok(sources.sorted()) } else { Err(problems) }
    }

    /// Takes files from elsewhere, as pairs of path and text; paths of no known kind are passed over.
    pub fn from_files<P: Into<String>, T: Into<Arc<str>>>(files: impl IntoIterator<Item = (P, T)>) -> Self {
        let mut sources = Self::default();
        for (path, text) in files {
            sources.push(path.into(), text.into());
        }
        sources.sorted()
    }

    /// The files of one kind.
    pub fn of_kind(&self, kind: FileKind) -> impl Iterator<Item = &BundleFile> {
        self.files.iter().filter(move |f| f.kind == kind)
    }

    /// All files, tests included.
    pub fn files(&self) -> &[BundleFile] {
        &self.files
    }

    /// The text of a file.
    pub fn text(&self, path: &str) -> Option<&Arc<str>> {
        self.files.iter().find(|f| f.path == path).map(|f| &f.text)
    }

    /// Files that were passed over although they do not look like documentation.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// The revision: a digest over the list of (path, SHA-256) without tests, and the language version.
    pub fn revision(&self) -> Digest {
        #[derive(Serialize)]
        struct Listing<'s> {
            format: &'static str,
            language: u32,
            files: Vec<(&'s str, Digest)>,
        }
        let counted = self.files.iter().filter(|f| !f.kind.is_test());
        let files = counted.map(|f| (f.path.as_str(), Digest::of(f.text.as_bytes()))).collect();
        let listing = Listing { format: "cku/bundle/v1", language: LANGUAGE_VERSION, files };
        // A list of texts always has a canonical form; the digest of nothing could match no bundle.
        Digest::of_canonical(&listing).unwrap_or_else(|_| Digest::of(b""))
    }

    /// Characters at which the languages of a bundle do not agree whether a line, or the file, ends there.
    ///
    /// A comment that ends for one reader and not for another could hide what is after it.
    pub(crate) fn unprintable(&self) -> Vec<Diagnostic> {
        self.files.iter().filter_map(unprintable).collect()
    }

    fn push(&mut self, path: String, text: Arc<str>) {
        match FileKind::of(&path) {
            Some(kind) => self.files.push(BundleFile { path, kind, text }),
            None if is_documentation(&path) => {}
            None => self.ignored.push(path),
        }
    }

    fn sorted(mut self) -> Self {
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        self.ignored.sort();
        self
    }

    fn read_below(&mut self, dir: &Path, prefix: &str, depth: usize, problems: &mut Vec<Diagnostic>) {
        let here = if prefix.is_empty() { dir.display().to_string() } else { prefix.to_owned() };
        let refuse = |message: String| Diagnostic::error("B001", message).at(Place::whole_file(here.clone()));
        // A link can lead back up; each folder is read once.
        let canonical = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        if !self.folders.insert(canonical) {
            problems.push(refuse("the folder is reached a second time, through a link".to_owned()));
            return;
        }
        if depth > MAX_DEPTH {
            problems.push(refuse(format!("folders nested more than {MAX_DEPTH} deep")));
            return;
        }
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => {
                problems.push(refuse(format!("the folder cannot be read: {error}")));
                return;
            }
        };
        let names: Result<Vec<_>, _> = entries.map(|entry| entry.map(|e| e.file_name())).collect();
        let mut names = match names {
            Ok(names) => names,
            Err(error) => {
                problems.push(refuse(format!("the folder cannot be read: {error}")));
                return;
            }
        };
        names.sort();
        for name in names {
            let Some(name) = name.to_str().map(str::to_owned) else {
                problems.push(refuse(format!("`{}` is not a UTF-8 name", name.to_string_lossy())));
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            let full = dir.join(&name);
            if full.is_dir() {
                self.read_below(&full, &path, depth + 1, problems);
            } else {
                self.read_file(&full, path, problems);
            }
        }
    }

    fn read_file(&mut self, full: &Path, path: String, problems: &mut Vec<Diagnostic>) {
        if FileKind::of(&path).is_none() {
            self.push(path, "".into());
            return;
        }
        let refuse = |message: String| Diagnostic::error("B001", message).at(Place::whole_file(path.clone()));
        if self.files.len() >= MAX_FILES {
            problems.push(refuse(format!("a bundle has at most {MAX_FILES} files")));
            return;
        }
        match fs::metadata(full) {
            Ok(meta) if !meta.is_file() => {
                problems.push(refuse("neither a file nor a folder".to_owned()));
                return;
            }
            Ok(_) => {}
            Err(error) => {
                problems.push(refuse(format!("cannot be read: {error}")));
                return;
            }
        }
        let mut bytes = Vec::new();
        let read =
            fs::File::open(full).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
        match (read, String::from_utf8(bytes)) {
            (Err(error), _) => problems.push(refuse(format!("cannot be read: {error}"))),
            (Ok(read), _) if read as u64 > MAX_FILE_BYTES => {
                problems.push(refuse(format!("a file has at most {MAX_FILE_BYTES} bytes")));
            }
            (Ok(_), Err(_)) => problems.push(refuse("not UTF-8 text; save the file as UTF-8".to_owned())),
            (Ok(_), Ok(text)) => self.push(path, text.into()),
        }
    }
}

fn unprintable(file: &BundleFile) -> Option<Diagnostic> {
    let text = &*file.text;
    let refused = |(at, c): &(usize, char)| match c {
        '\t' | '\n' => false,
        '\r' => !text.get(at + 1..).is_some_and(|after| after.starts_with('\n')),
        '\u{2028}' | '\u{2029}' => true,
        c => c.is_control(),
    };
    let (at, c) = text.char_indices().find(refused)?;
    let place = LineIndex::new(text).place(&file.path, at..at + c.len_utf8());
    let message = format!("the control character U+{:04X}", u32::from(c));
    let help = "only tabs and line ends stand in the files of a bundle; write it as an escape in a string";
    Some(Diagnostic::error("B001", message).at(place).label("here").help(help))
}

fn is_documentation(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".md") || name.starts_with("LICENSE") || name.starts_with("NOTICE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_documentation_do_not_change_the_revision() {
        let bare = Sources::from_files([("bundle.yaml", "name: x"), ("a.rego", "package a")]);
        let tested = Sources::from_files([
            ("a_test.rego", "package a_test"),
            ("README.md", "hello"),
            ("a.rego", "package a"),
            ("bundle.yaml", "name: x"),
        ]);
        assert_eq!(bare.revision(), tested.revision());
        let moved = Sources::from_files([("bundle.yaml", "name: x"), ("b.rego", "package a")]);
        assert_ne!(bare.revision(), moved.revision());
    }

    #[test]
    fn what_could_end_a_line_for_one_reader_and_not_for_another_is_refused() {
        let found = |text: &str| {
            let sources = Sources::from_files([("a.rego", text)]);
            sources.unprintable().first().map(|problem| problem.message.clone())
        };
        assert_eq!(found("package a\n\n# Größe \u{200b}\r\n\tx := 1\n"), None);
        for (text, character) in [
            ("# x\0\ndeny := 1\n", "U+0000"),
            ("// x\rpermit (principal, action, resource);\n", "U+000D"),
            ("# x\u{b}", "U+000B"),
            ("# x\u{85}y", "U+0085"),
            ("# x\u{2028}y", "U+2028"),
            ("ends with\r", "U+000D"),
        ] {
            assert_eq!(found(text), Some(format!("the control character {character}")), "{text:?}");
        }
    }

    #[test]
    fn a_misspelt_suffix_is_remembered() {
        let sources = Sources::from_files([("gates/quality.gat", "gate"), ("notes.md", "")]);
        assert_eq!(sources.ignored(), ["gates/quality.gat"]);
    }
}
