//! `cku collect`: the reports in a folder as one evidence document.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use cku_base::diagnostic::{Diagnostic, Place};
use cku_gates::evidence::{self, Evidence, Fault, Format, Limits};
use serde::Serialize;

use crate::{exit::Exit, load, output, render::diagnostics};

const HEAD: u64 = 8 << 10;
const MAX_DEPTH: usize = 32;
const PASSED_OVER: [&str; 3] = ["node_modules", "target", "__pycache__"];

/// Find the reports of coverage, tests, lint and changes in a folder, and write one document.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to look; hidden folders and those of dependencies are passed over.
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Where to write the document, instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The document that `cku eval --evidence` takes.
#[derive(Serialize)]
struct Document {
    evidence: Vec<Evidence>,
    reports: Vec<Report>,
}

/// Which report was found where.
#[derive(Serialize)]
struct Report {
    path: String,
    format: Format,
    digests: Vec<cku_base::Digest>,
}

/// Finds, reads and writes; one report that cannot be used is an error for all.
pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let document = collect(&args.dir)?;
    write(&document, args.output.as_deref())
}

/// The evidence in a folder; one report that cannot be used is an error for all.
pub(crate) fn evidence(dir: &Path) -> Result<Vec<Evidence>, Exit> {
    collect(dir).map(|document| document.evidence)
}

fn collect(dir: &Path) -> Result<Document, Exit> {
    load::folder(dir, "a folder with reports")?;
    let mut found = Found::default();
    found.look_in(dir, Path::new(""), 0);
    for note in &found.notes {
        output::note(format_args!("note: {note}\n"));
    }
    let mut document = Document { evidence: Vec::new(), reports: Vec::new() };
    let mut problems = found.problems;
    found.files.sort();
    for relative in found.files {
        let path = relative.display().to_string();
        match read(&dir.join(&relative), &path) {
            Ok(Some((format, read))) => {
                let digests = read.iter().map(|e| e.digest).collect();
                document.reports.push(Report { path, format, digests });
                document.evidence.extend(read);
            }
            // A report that is not recognised would otherwise be missing without a word.
            Ok(None) if looks_like_report(&relative) => {
                output::note(format_args!("note: no report that cku knows: {path}\n"));
            }
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        diagnostics::show(&diagnostics::below(&problems, dir));
        return Err(Exit::Usage);
    }
    if document.reports.is_empty() {
        output::problem(format_args!(
            "no reports in `{}`; cku knows LCOV, Cobertura, SARIF, JUnit and `git diff --numstat -z`",
            dir.display()
        ));
        return Err(Exit::Usage);
    }
    Ok(document)
}

fn write(document: &Document, to: Option<&Path>) -> Result<Exit, Exit> {
    let Some(path) = to else {
        output::json(document)?;
        return Ok(Exit::Pass);
    };
    let text = serde_json::to_string_pretty(document).map_err(|e| e.to_string());
    text.and_then(|text| fs::write(path, text + "\n").map_err(|e| e.to_string())).map_err(|error| {
        output::problem(format_args!("`{}` cannot be written: {error}", path.display()));
        Exit::Usage
    })?;
    for report in &document.reports {
        output::note(format_args!("{:<10} {}\n", report.format.to_string(), report.path));
    }
    Ok(Exit::Pass)
}

/// Whether a file has the suffix of a report; JSON could be anything.
fn looks_like_report(file: &Path) -> bool {
    let suffix = file.extension().and_then(|e| e.to_str());
    matches!(suffix, Some("xml" | "sarif" | "info" | "numstat" | "lcov"))
}

/// Reads a file if it is a report.
fn read(file: &Path, relative: &str) -> Result<Option<(Format, Vec<Evidence>)>, Diagnostic> {
    let limits = Limits::default();
    let unreadable = |error: io::Error| load::unreadable("file", relative, &error);
    let open = fs::File::open(file).map_err(unreadable)?;
    let mut bytes = Vec::new();
    (&open).take(HEAD).read_to_end(&mut bytes).map_err(unreadable)?;
    let Some(format) = evidence::detect(relative, &bytes) else { return Ok(None) };
    // The size is looked at before the file is read into memory.
    let size = open.metadata().map_err(unreadable)?.len();
    let limit = limits.bytes as u64;
    if size > limit {
        return Err(too_large(relative, size, limit));
    }
    // A file that grows meanwhile is read to one byte past the limit, which the parser refuses.
    (&open).take(limit + 1 - HEAD.min(limit)).read_to_end(&mut bytes).map_err(unreadable)?;
    let read = evidence::parse(format, relative, &bytes, &limits).map_err(|e| e.diagnostic().clone())?;
    Ok(Some((format, read)))
}

fn too_large(relative: &str, size: u64, limit: u64) -> Diagnostic {
    let message = format!("{size} bytes are more than the {limit} that are accepted");
    Diagnostic::error(Fault::TooLarge.code(), message)
        .at(Place::whole_file(relative))
        .help("let the tool write several smaller reports")
}

/// What lies in a folder; paths are relative to it.
#[derive(Default)]
struct Found {
    files: Vec<PathBuf>,
    notes: Vec<String>,
    problems: Vec<Diagnostic>,
}

impl Found {
    /// Looks in one folder and those below. What cannot be read may be a report that speaks against
    /// the run, so it is a problem and not passed over.
    fn look_in(&mut self, top: &Path, relative: &Path, depth: usize) {
        if let Err(problem) = self.try_look_in(top, relative, depth) {
            self.problems.push(problem);
        }
    }

    fn try_look_in(&mut self, top: &Path, relative: &Path, depth: usize) -> Result<(), Diagnostic> {
        let name = relative.display().to_string();
        if depth > MAX_DEPTH {
            let message = format!("the folder lies more than {MAX_DEPTH} folders deep");
            return Err(Diagnostic::error("I003", message)
                .at(Place::whole_file(name))
                .help("name a folder that is closer to the reports"));
        }
        let unreadable = |error: io::Error| load::unreadable("folder", &name, &error);
        let entries = fs::read_dir(top.join(relative)).map_err(unreadable)?;
        let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let path = relative.join(&name);
            let name = name.to_string_lossy();
            if name.starts_with('.') || PASSED_OVER.contains(&name.as_ref()) {
                continue;
            }
            let shown = path.display().to_string();
            // Links are not followed: a link out of the folder would bring in what is not of this run.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.look_in(top, &path, depth + 1),
                Ok(kind) if kind.is_file() => self.files.push(path),
                Ok(kind) if kind.is_symlink() => self.notes.push(format!("link passed over: {shown}")),
                Ok(_) => self.notes.push(format!("neither file nor folder, passed over: {shown}")),
                Err(error) => self.problems.push(load::unreadable("file", &shown, &error)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_opened_is_a_problem_with_its_place() {
        // Gone between looking and reading: as root the tests could open whatever is there.
        let top = Path::new("no such folder");
        let mut found = Found::default();
        found.look_in(top, Path::new("reports"), 0);
        let of_folder = found.problems.pop().unwrap();
        let of_file = read(&top.join("lcov.info"), "lcov.info").unwrap_err();
        assert_eq!((of_folder.code, of_file.code), ("I002", "I002"));
        assert_eq!(of_folder.place, Some(Place::whole_file("reports")));
        assert_eq!(of_file.place, Some(Place::whole_file("lcov.info")));
    }
}
