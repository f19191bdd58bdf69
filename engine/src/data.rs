//! The base documents of a bundle: `data/**/*.{yaml,json}` as one tree.

use cku_base::{
    diagnostic::{Diagnostic, Place},
    document,
};
use serde_json::{Map, Value};

use crate::{manifest::Limits, source::BundleFile};

/// Reads the data files into one tree.
///
/// `data/a/b.yaml` holds `data.a.b`; a file named `data` holds its folder's document, as in OPA.
pub(crate) fn read<'f>(
    files: impl Iterator<Item = &'f BundleFile>,
    limits: &Limits,
    problems: &mut Vec<Diagnostic>,
) -> Value {
    let mut tree = Value::Object(Map::new());
    for file in files {
        let read = document::read(&file.path, file.text.as_bytes(), limits.document());
        let placed = read.and_then(|value| place(&mut tree, &path_of(&file.path), value, &file.path));
        if let Err(problem) = placed {
            problems.push(problem);
        }
    }
    tree
}

/// The data file that says what stands at a path: of those above it, there or below it, the deepest.
pub(crate) fn file_of<'f>(files: impl Iterator<Item = &'f BundleFile>, path: &[&str]) -> Option<&'f str> {
    let on_the_way = |file: &&BundleFile| path_of(&file.path).iter().zip(path).all(|(at, name)| at == name);
    files.filter(on_the_way).max_by_key(|file| path_of(&file.path).len()).map(|file| file.path.as_str())
}

fn path_of(file: &str) -> Vec<&str> {
    let below = file.strip_prefix("data/").unwrap_or(file);
    let stem = below.rsplit_once('.').map_or(below, |(stem, _)| stem);
    let mut path: Vec<&str> = stem.split('/').collect();
    if path.last() == Some(&"data") {
        path.pop();
    }
    path
}

fn place(tree: &mut Value, path: &[&str], value: Value, file: &str) -> Result<(), Diagnostic> {
    let mut node = tree;
    for name in path {
        let Value::Object(members) = node else { return Err(collision(file, name)) };
        node = members.entry(*name).or_insert_with(|| Value::Object(Map::new()));
    }
    merge(node, value, file)
}

fn merge(node: &mut Value, value: Value, file: &str) -> Result<(), Diagnostic> {
    match (node, value) {
        (Value::Object(members), Value::Object(more)) => {
            more.into_iter().try_for_each(|(key, value)| match members.get_mut(&key) {
                Some(inner @ Value::Object(_)) if value.is_object() => merge(inner, value, file),
                Some(_) => Err(collision(file, &key)),
                None => {
                    members.insert(key, value);
                    Ok(())
                }
            })
        }
        (node @ Value::Object(_), value) if node.as_object().is_some_and(Map::is_empty) => {
            *node = value;
            Ok(())
        }
        _ => Err(collision(file, path_of(file).last().copied().unwrap_or("data"))),
    }
}

fn collision(file: &str, name: &str) -> Diagnostic {
    Diagnostic::error("B005", format!("another data file defines `{name}` at the same path"))
        .at(Place::whole_file(file))
        .help("keep each path in one file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{FileKind, Sources};
    use serde_json::json;

    fn tree(files: &[(&str, &str)]) -> (Value, Vec<String>) {
        let sources = Sources::from_files(files.iter().map(|(p, t)| (*p, *t)));
        let mut problems = Vec::new();
        let tree = read(sources.of_kind(FileKind::Data), &Limits::default(), &mut problems);
        (tree, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_file_is_found_at_its_path() {
        let (tree, problems) =
            tree(&[("data/a/b.yaml", "x: 1"), ("data/a/data.json", "{\"c\": 2}"), ("data/l.json", "[1]")]);
        assert_eq!(tree, json!({"a": {"b": {"x": 1}, "c": 2}, "l": [1]}));
        assert_eq!(problems, [""; 0]);
    }

    #[test]
    fn what_stands_at_a_path_is_in_the_file_nearest_to_it() {
        let file = |paths: &[&str]| {
            let sources = Sources::from_files(paths.iter().map(|path| (*path, "{}")));
            file_of(sources.of_kind(FileKind::Data), &["cku", "learner"]).map(str::to_owned)
        };
        let named = |path: &str| Some(path.to_owned());
        assert_eq!(file(&["data/a.yaml", "data/cku.yaml", "data/data.json"]), named("data/cku.yaml"));
        assert_eq!(file(&["data/cku.yaml", "data/cku/learner.yaml"]), named("data/cku/learner.yaml"));
        assert_eq!(
            file(&["data/cku/learner/modes.yaml", "data/cku/b.yaml"]),
            named("data/cku/learner/modes.yaml")
        );
        assert_eq!(file(&["data/a.yaml"]), None);
    }

    #[test]
    fn two_files_for_one_path_are_refused() {
        let (_, problems) = tree(&[("data/a.yaml", "b: 1"), ("data/a/b.yaml", "x: 1")]);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("B005"), "{}", problems[0]);
    }
}
