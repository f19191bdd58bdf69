//! `cku fmt`: gate files in their one form.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use similar::TextDiff;

use crate::{
    exit::Exit,
    load,
    output::{self, counted},
    render::{diagnostics, style},
};

/// Bytes of a gate file beyond which it is not read.
const LARGEST: usize = 16 << 20;

/// Folders within folders that are looked through.
const DEEPEST: usize = 16;

/// Format gate files. Comments stay, and what they compile to stays the same.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files, folders with `*.gate` files in them, or `-` for standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Change nothing; fail if a file is not formatted.
    #[arg(long)]
    check: bool,

    /// Change nothing; show what would change.
    #[arg(long)]
    diff: bool,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Same,
    Changed,
    /// It cannot be read, or its syntax; that has been shown.
    Broken(Exit),
}

/// Formats all files, whatever is wrong with one.
pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let dash = Path::new("-");
    if args.paths.iter().any(|path| path == dash) {
        if args.paths.len() > 1 {
            output::problem("`-` stands alone: name either standard input or files");
            return Err(Exit::Usage);
        }
        return of_standard_input(args);
    }
    let mut files = Vec::new();
    for path in &args.paths {
        collect(path, &mut files)?;
    }
    let done: Vec<Done> = files.iter().map(|file| of_file(args, file)).collect();
    let count = |of: fn(&Done) -> bool| done.iter().filter(|done| of(done)).count();
    let (changed, same) = (count(|d| *d == Done::Changed), count(|d| *d == Done::Same));
    let would = if args.check || args.diff { "not formatted" } else { "formatted" };
    let broken = match count(|d| matches!(d, Done::Broken(_))) {
        0 => String::new(),
        n => format!(", {n} with errors"),
    };
    output::note(format_args!("{} {would}, {same} as they should be{broken}\n", counted(changed, "file")));
    let worst = done.iter().find_map(|done| match done {
        Done::Broken(exit) => Some(*exit),
        _ => None,
    });
    match worst {
        Some(exit) => Err(exit),
        None if args.check && changed > 0 => Ok(Exit::Reject),
        None => Ok(Exit::Pass),
    }
}

/// The gate files that a path stands for: itself, or those in the folder, hidden ones left out.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Exit> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    if !path.is_dir() {
        output::problem(format_args!("there is no `{}`; name a gate file or a folder", path.display()));
        return Err(Exit::Usage);
    }
    let before = files.len();
    walk(path, DEEPEST, files)?;
    if files.len() == before {
        output::problem(format_args!("there is no `*.gate` file in `{}`", path.display()));
        return Err(Exit::Usage);
    }
    Ok(())
}

fn walk(folder: &Path, deeper: usize, files: &mut Vec<PathBuf>) -> Result<(), Exit> {
    let unreadable = |error: &std::io::Error| {
        diagnostics::show(&[load::unreadable("folder", &folder.display().to_string(), error)]);
        Exit::Usage
    };
    let entries = fs::read_dir(folder).map_err(|error| unreadable(&error))?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(&error))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, hidden) = (entry.path(), entry.file_name().as_encoded_bytes().starts_with(b"."));
        // Links are not followed: what they lead to is formatted where it is.
        let kind = entry.file_type().map_err(|error| unreadable(&error))?;
        if kind.is_dir() && !hidden && deeper > 0 {
            walk(&path, deeper - 1, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "gate") {
            files.push(path);
        }
    }
    Ok(())
}

fn of_file(args: &Args, path: &Path) -> Done {
    let name = path.display().to_string();
    let text = match load::bytes(path, LARGEST).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(_)) => {
            output::problem(format_args!("`{name}` is not UTF-8; save it as such"));
            return Done::Broken(Exit::Usage);
        }
        Err(exit) => return Done::Broken(exit),
    };
    let formatted = match cku_lang::format(&name, &text) {
        Ok(formatted) if formatted == text => return Done::Same,
        Ok(formatted) => formatted,
        Err(errors) => {
            diagnostics::show(&errors);
            return Done::Broken(Exit::Bundle);
        }
    };
    let told = if args.diff {
        output::result(difference(&name, &text, &formatted))
    } else {
        output::result(format_args!("{name}\n"))
    };
    match told {
        Err(exit) => Done::Broken(exit),
        Ok(()) if args.check || args.diff => Done::Changed,
        Ok(()) => match replace(path, &formatted) {
            Ok(()) => Done::Changed,
            Err(error) => {
                output::problem(format_args!("`{name}` cannot be written: {error}; it is as it was"));
                Done::Broken(Exit::Internal)
            }
        },
    }
}

/// Whole or not at all: a new file takes the place of the old one, with its permissions.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = path.canonicalize()?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(text.as_bytes())?;
    new.as_file().set_permissions(fs::metadata(&path)?.permissions())?;
    new.as_file().sync_all()?;
    new.persist(&path).map(drop).map_err(|error| error.error)
}

fn of_standard_input(args: &Args) -> Result<Exit, Exit> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(LARGEST as u64 + 1).read_to_end(&mut bytes);
    let text = read.ok().and_then(|_| String::from_utf8(bytes).ok());
    let Some(text) = text else {
        output::problem("standard input cannot be read as UTF-8");
        return Err(Exit::Usage);
    };
    let formatted = cku_lang::format("-", &text).map_err(|errors| {
        diagnostics::show_with(&errors, |_| Some(text.clone()));
        Exit::Bundle
    })?;
    match (args.diff, args.check) {
        (true, _) => output::result(difference("-", &text, &formatted))?,
        (false, false) => output::result(&formatted)?,
        (false, true) => {}
    }
    Ok(if args.check && formatted != text { Exit::Reject } else { Exit::Pass })
}

/// What changes, as a unified diff.
fn difference(name: &str, before: &str, after: &str) -> String {
    let (bad, good, dim) = (style::ERROR, style::GOOD, style::DIM);
    let diff = TextDiff::from_lines(before, after);
    let unified = diff.unified_diff().header(name, name).to_string();
    let colour = |line: &str| match line.as_bytes().first() {
        Some(b'-') => format!("{bad}{line}{bad:#}\n"),
        Some(b'+') => format!("{good}{line}{good:#}\n"),
        Some(b'@') => format!("{dim}{line}{dim:#}\n"),
        _ => format!("{line}\n"),
    };
    unified.lines().map(colour).collect()
}
