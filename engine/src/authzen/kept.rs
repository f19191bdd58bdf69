//! Answers that were given before.

use std::{collections::HashMap, hash::BuildHasher};

use super::{Asked, Authzen};
use crate::access::Answer;

/// Answers by what they depend on.
///
/// The policies and what is stored never change within a bundle, so a question that names nothing but a
/// subject, an action and a resource has the same answer each time. A full cache starts anew.
#[derive(Debug, Default)]
pub(crate) struct Evaluated {
    hasher: std::hash::RandomState,
    known: HashMap<u64, Kept>,
}

#[derive(Debug)]
struct Kept {
    names: [String; 5],
    answer: Answer,
}

impl Evaluated {
    const CAPACITY: usize = 16_384;
    /// Bytes of all names of a question that is kept: what callers send must not fill the memory.
    const LENGTH: usize = 512;

    /// The answer to a question, found or asked.
    pub(crate) fn find_or_ask(&mut self, asked: &Asked<'_>, authzen: &Authzen) -> Answer {
        let (subject, resource) = (asked.subject, asked.resource);
        let names = [&subject.kind, &subject.id, asked.action, &resource.kind, &resource.id];
        let length: usize = names.iter().map(|name| name.len()).sum();
        if length > Self::LENGTH || !authzen.is_plain(asked) {
            return authzen.ask(asked);
        }
        let key = self.hasher.hash_one(names);
        if let Some(kept) = self.known.get(&key)
            && kept.names == names
        {
            return kept.answer.clone();
        }
        let answer = authzen.ask(asked);
        if self.known.len() >= Self::CAPACITY {
            self.known.clear();
        }
        self.known.insert(key, Kept { names: names.map(str::to_owned), answer: answer.clone() });
        answer
    }
}
