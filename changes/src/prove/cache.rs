//! Results of proofs that are kept: a proof of the same question never has to be made twice.

use std::{collections::BTreeMap, fs, io, path::Path};

use cku_base::Digest;
use serde::{Deserialize, Serialize};

use super::Counterexample;

/// What an answer may take in its file at most, in bytes.
const ANSWER_LIMIT: u64 = 1 << 20;

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
    /// Of question and answer; a file that was damaged and can still be read does not have it.
    seal: Digest,
}

/// The digest that a file must have of what it says.
fn seal(question: &Digest, answer: &Definite) -> Option<Digest> {
    Digest::of_canonical(&("answer 1", question.to_string(), answer)).ok()
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
        let files = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        Self { known: files.filter_map(|file| read(&file.path())).collect() }
    }

    /// Writes every answer into its own file.
    pub fn save(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        for (question, answer) in &self.known {
            let path = dir.join(format!("{}.json", file_stem(question)));
            let Some(seal) = seal(question, answer).filter(|_| read(&path).is_none()) else { continue };
            let entry = Entry { question: question.to_string(), answer: answer.clone(), seal };
            fs::write(path, serde_json::to_vec(&entry)?)?;
        }
        Ok(())
    }

    pub(super) fn find(&self, question: &Digest) -> Option<&Definite> {
        self.known.get(question)
    }

    pub(super) fn keep(&mut self, question: Digest, answer: Definite) {
        self.known.insert(question, answer);
    }
}

/// The answer in a file, if it is what was written there under this name.
fn read(path: &Path) -> Option<(Digest, Definite)> {
    let about = fs::metadata(path).ok()?;
    if !about.is_file() || about.len() > ANSWER_LIMIT {
        return None;
    }
    let entry: Entry = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let question: Digest = entry.question.parse().ok()?;
    let named = file_stem(&question) == path.file_stem()?.to_str()?;
    (named && seal(&question, &entry.answer)? == entry.seal).then_some((question, entry.answer))
}

/// The digits alone, since a colon is no part of a file's name everywhere.
fn file_stem(digest: &Digest) -> String {
    let text = digest.to_string();
    text.rsplit(':').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> (Digest, Cache) {
        let question = Digest::of(b"a question");
        let counterexample =
            Counterexample { sentence: "it fails".to_owned(), input: BTreeMap::new(), policies: Vec::new() };
        let mut cache = Cache::default();
        cache.keep(question, Definite::Refuted(counterexample));
        (question, cache)
    }

    #[test]
    fn what_was_saved_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let (question, cache) = kept();
        cache.save(folder.path()).unwrap();
        assert_eq!(Cache::load(folder.path()).find(&question), cache.find(&question));
    }

    #[test]
    fn a_damaged_file_is_passed_over_and_written_anew() {
        let (question, cache) = kept();
        let other = Digest::of(b"another question");
        let damages: [&dyn Fn(&str) -> String; 6] = [
            &|text| text[..text.len() / 2].to_owned(),
            &|text| text.replace("it fails", "it holds"),
            &|text| {
                let mut entry: serde_json::Value = serde_json::from_str(text).unwrap();
                entry["answer"] = "proved".into();
                entry.to_string()
            },
            &|text| text.replace(&question.to_string(), &other.to_string()),
            &|_| String::new(),
            &|_| "[]".to_owned(),
        ];
        for damage in damages {
            let folder = tempfile::tempdir().unwrap();
            cache.save(folder.path()).unwrap();
            let path = folder.path().join(format!("{}.json", file_stem(&question)));
            let text = fs::read_to_string(&path).unwrap();
            assert_ne!(damage(&text), text);
            fs::write(&path, damage(&text)).unwrap();
            assert!(Cache::load(folder.path()).is_empty(), "{}", damage(&text));
            cache.save(folder.path()).unwrap();
            assert_eq!(Cache::load(folder.path()).len(), 1);
        }
    }

    #[test]
    fn an_answer_under_the_name_of_another_question_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (question, cache) = kept();
        cache.save(folder.path()).unwrap();
        let file = |question| folder.path().join(format!("{}.json", file_stem(question)));
        fs::rename(file(&question), file(&Digest::of(b"another question"))).unwrap();
        assert!(Cache::load(folder.path()).is_empty());
    }
}
