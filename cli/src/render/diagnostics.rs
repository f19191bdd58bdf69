//! Diagnostics, with the lines they are about.

use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use cku_base::diagnostic::{Diagnostic, Fix, Place};

use super::foreign;
use crate::output::{self, Format};

/// Shows diagnostics whose places name files as the user did.
pub(crate) fn show(diagnostics: &[Diagnostic]) {
    show_with(diagnostics, |file| std::fs::read_to_string(file).ok());
}

/// Shows diagnostics; `text_of` gives the text of a file.
pub(crate) fn show_with(diagnostics: &[Diagnostic], text_of: impl Fn(&str) -> Option<String>) {
    for diagnostic in diagnostics {
        // A file that is meant as a whole is not shown; it may be one that is too large to read.
        let place = diagnostic.place.as_ref().filter(|p| p.line > 0);
        let text = place.and_then(|p| text_of(&p.file));
        output::note(format_args!("{}\n\n", render(diagnostic, text.as_deref())));
    }
}

/// Shows the diagnostics of a bundle, whose places are relative to it.
///
/// As JSON they are one list on standard error, since standard output belongs to the result.
pub(crate) fn show_of_bundle(diagnostics: &[Diagnostic], dir: &Path, format: Format) {
    match format {
        Format::Json if diagnostics.is_empty() => {}
        Format::Json => {
            let list = serde_json::to_string_pretty(diagnostics).unwrap_or_default();
            output::note(format_args!("{list}\n"));
        }
        Format::Pretty => show(&below(diagnostics, dir)),
    }
}

/// The same diagnostics with their files named from here.
pub(crate) fn below(diagnostics: &[Diagnostic], dir: &Path) -> Vec<Diagnostic> {
    let place = |place: &Place| {
        let file = if place.file.starts_with("compiled/") || Path::new(&place.file).is_absolute() {
            place.file.clone()
        } else {
            dir.join(&place.file).display().to_string()
        };
        Place { file, ..place.clone() }
    };
    let fix = |fix: &Fix| Box::new(Fix { place: place(&fix.place), ..fix.clone() });
    let named = |d: &Diagnostic| Diagnostic {
        place: d.place.as_ref().map(place),
        fix: d.fix.as_deref().map(fix),
        ..d.clone()
    };
    diagnostics.iter().map(named).collect()
}

fn render(diagnostic: &Diagnostic, text: Option<&str>) -> String {
    let level = if diagnostic.is_error() { Level::ERROR } else { Level::WARNING };
    let title = level.primary_title(foreign(&diagnostic.message).into_owned()).id(diagnostic.code);
    let mut group = match (&diagnostic.place, text) {
        (Some(place), Some(text)) if place.line > 0 && shows(text, place) => {
            let label = diagnostic.label.clone();
            let annotation = AnnotationKind::Primary.span(place.span.clone()).label(label);
            title.element(Snippet::source(text.to_owned()).path(place.file.clone()).annotation(annotation))
        }
        (Some(place), _) => {
            let origin = Origin::path(place.file.clone());
            let origin = match (place.line, place.column) {
                (0, _) => origin,
                (line, column) => origin.line(line as usize).char_column(column as usize),
            };
            title.element(origin)
        }
        (None, _) => title.elements(std::iter::empty::<Origin<'_>>()),
    };
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.clone()));
    }
    Renderer::styled().render(&[group])
}

/// Whether the span lies within the text and its line is short enough to look at.
fn shows(text: &str, place: &Place) -> bool {
    let longest = text.lines().nth(place.line.saturating_sub(1) as usize).map_or(0, str::len);
    longest <= 400 && text.get(place.span.clone()).is_some()
}
