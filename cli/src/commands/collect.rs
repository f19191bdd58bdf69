//! `cku collect`: the reports in a folder as one evidence document.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cku_gates::evidence::{self, Evidence, Format, Limits};
use serde::Serialize;

use crate::{exit::Exit, load, output, render::diagnostics};

const HEAD: usize = 8 << 10;
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
pub(crate) fn run(args: &Args) -> Exit {
    if !args.dir.is_dir() {
        output::problem(format_args!("`{}` is no folder; name a folder with reports", args.dir.display()));
        return Exit::Usage;
    }
    let mut files = Vec::new();
    if let Err(problem) = find(&args.dir, 0, &mut files) {
        output::problem(problem);
        return Exit::Usage;
    }
    files.sort();
    let mut document = Document { evidence: Vec::new(), reports: Vec::new() };
    let mut problems = Vec::new();
    for file in &files {
        let relative = file.strip_prefix(&args.dir).unwrap_or(file).display().to_string();
        match read(file, &relative) {
            Ok(Some((format, read))) => {
                let digests = read.iter().map(|e| e.digest).collect();
                document.reports.push(Report { path: relative, format, digests });
                document.evidence.extend(read);
            }
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        diagnostics::show(&diagnostics::below(&problems, &args.dir));
        return Exit::Usage;
    }
    if document.reports.is_empty() {
        output::problem(format_args!(
            "no reports in `{}`; cku knows LCOV, Cobertura, SARIF, JUnit and `git diff --numstat -z`",
            args.dir.display()
        ));
        return Exit::Usage;
    }
    write(&document, args.output.as_deref())
}

fn write(document: &Document, to: Option<&Path>) -> Exit {
    let Some(path) = to else {
        output::json(document);
        return Exit::Pass;
    };
    let text = serde_json::to_string_pretty(document).map_err(|e| e.to_string());
    match text.and_then(|text| fs::write(path, text + "\n").map_err(|e| e.to_string())) {
        Ok(()) => {
            for report in &document.reports {
                output::note(format_args!("{:<10} {}\n", report.format.to_string(), report.path));
            }
            Exit::Pass
        }
        Err(error) => {
            output::problem(format_args!("`{}` cannot be written: {error}", path.display()));
            Exit::Usage
        }
    }
}

fn read(
    file: &Path,
    relative: &str,
) -> Result<Option<(Format, Vec<Evidence>)>, cku_base::diagnostic::Diagnostic> {
    let limits = Limits::default();
    let size = fs::metadata(file).map_or(0, |m| m.len());
    let mut head = Vec::new();
    if let Ok(open) = fs::File::open(file) {
        let _ = std::io::Read::read_to_end(&mut std::io::Read::take(open, HEAD as u64), &mut head);
    }
    let Some(format) = evidence::detect(relative, &head) else { return Ok(None) };
    // The size is looked at before the file is read into memory.
    let bytes = if size > limits.bytes as u64 { vec![0; limits.bytes + 1] } else { load::bytes(file)? };
    let read = evidence::parse(format, relative, &bytes, &limits).map_err(|e| e.diagnostic().clone())?;
    Ok(Some((format, read)))
}

fn find(dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("`{}` lies more than {MAX_DEPTH} folders deep", dir.display()));
    }
    let entries = fs::read_dir(dir).map_err(|e| format!("`{}` cannot be read: {e}", dir.display()))?;
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || PASSED_OVER.contains(&name.as_ref()) {
            continue;
        }
        // Links are not followed: a link out of the folder would bring in what is not of this run.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => find(&entry.path(), depth + 1, files)?,
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}
