//! Results of proofs that are kept: a proof of the same question never has to be made twice.

use std::{collections::BTreeMap, fs, io, path::Path};

use cku_base::Digest;
use serde::{Deserialize, Serialize};

use super::Counterexample;

/// A definite answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Definite {
    /// It holds.
    Proved,
    /// It does not hold.
    Refuted(Counterexample),
}

/// Definite answers by the digest of their question: both policy sets, schema, statement and solver.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    known: BTreeMap<Digest, Definite>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    question: String,
    answer: Definite,
}

impl Cache {
    /// How many answers it holds.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Finds again, in a directory, the answers of these questions that were kept.
    ///
    /// A file that is not what was written is passed over, as if it were not there.
    pub fn load(dir: &Path) -> Self {
        let read = |path: &Path| -> Option<(Digest, Definite)> {
            let entry: Entry = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
            let stem = path.file_stem()?.to_str()?;
            let question: Digest = entry.question.parse().ok()?;
            (file_stem(&question) == stem).then_some((question, entry.answer))
        };
        let files = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        Self { known: files.filter_map(|file| read(&file.path())).collect() }
    }

    /// Writes every answer into its own file.
    pub fn save(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        for (question, answer) in &self.known {
            let entry = Entry { question: question.to_string(), answer: answer.clone() };
            let path = dir.join(format!("{}.json", file_stem(question)));
            if !path.exists() || Self::load_one(&path).is_none() {
                fs::write(path, serde_json::to_vec(&entry)?)?;
            }
        }
        Ok(())
    }

    fn load_one(path: &Path) -> Option<Entry> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    pub(super) fn find(&self, question: &Digest) -> Option<&Definite> {
        self.known.get(question)
    }

    pub(super) fn keep(&mut self, question: Digest, answer: Definite) {
        self.known.insert(question, answer);
    }
}

/// The digits alone, since a colon is no part of a file's name everywhere.
fn file_stem(digest: &Digest) -> String {
    let text = digest.to_string();
    text.rsplit(':').next().unwrap_or_default().to_owned()
}
