//! What can go wrong with a step, and of which kind it is.

use serde::{Deserialize, Serialize};

/// The kind of a failure; the healing policy decides by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// It may work the next time: a network, a service that is busy.
    Transient,
    /// Something that is needed is not there.
    NotFound,
    /// It is not allowed.
    Permission,
    /// Something is not as it was expected to be.
    Conflict,
    /// It ran, and what it should have come to is not so.
    Verification,
    /// A policy does not allow it.
    Policy,
    /// It took too long.
    Timeout,
    /// Memory, disk or output were used up.
    Resource,
    /// cku went away while it ran, or was asked to end: what it did is unknown.
    Interrupted,
    /// Nothing more is known.
    Unknown,
}

impl FailureClass {
    /// As entries and policies write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::NotFound => "not_found",
            Self::Permission => "permission",
            Self::Conflict => "conflict",
            Self::Verification => "verification",
            Self::Policy => "policy",
            Self::Timeout => "timeout",
            Self::Resource => "resource",
            Self::Interrupted => "interrupted",
            Self::Unknown => "unknown",
        }
    }
}

/// What went wrong with a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Of which kind it is.
    pub class: FailureClass,
    /// In words.
    pub message: String,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    /// What an error of the operating system comes to.
    pub fn of_io(what: &str, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        let class = match error.kind() {
            Kind::NotFound => FailureClass::NotFound,
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => FailureClass::Permission,
            Kind::AlreadyExists | Kind::DirectoryNotEmpty | Kind::IsADirectory | Kind::NotADirectory => {
                FailureClass::Conflict
            }
            Kind::StorageFull | Kind::QuotaExceeded | Kind::OutOfMemory | Kind::FileTooLarge => {
                FailureClass::Resource
            }
            Kind::TimedOut | Kind::Interrupted | Kind::WouldBlock | Kind::ResourceBusy => {
                FailureClass::Transient
            }
            _ => FailureClass::Unknown,
        };
        Self::new(class, format!("{what}: {error}"))
    }
}

/// What an exit code means by custom (`sysexits.h`, `timeout(1)`, POSIX shells).
const BY_CODE: [(i32, FailureClass); 10] = [
    (66, FailureClass::NotFound),
    (69, FailureClass::Transient),
    (71, FailureClass::Resource),
    (73, FailureClass::Conflict),
    (74, FailureClass::Resource),
    (75, FailureClass::Transient),
    (77, FailureClass::Permission),
    (124, FailureClass::Timeout),
    (126, FailureClass::Permission),
    (127, FailureClass::NotFound),
];

/// What tools commonly write, in lower case; the first that occurs counts.
const BY_TEXT: [(&str, FailureClass); 19] = [
    ("no space left on device", FailureClass::Resource),
    ("cannot allocate memory", FailureClass::Resource),
    ("out of memory", FailureClass::Resource),
    ("connection refused", FailureClass::Transient),
    ("connection reset", FailureClass::Transient),
    ("connection timed out", FailureClass::Transient),
    ("temporary failure", FailureClass::Transient),
    ("temporarily unavailable", FailureClass::Transient),
    ("could not resolve host", FailureClass::Transient),
    ("service unavailable", FailureClass::Transient),
    ("too many requests", FailureClass::Transient),
    ("rate limit", FailureClass::Transient),
    ("permission denied", FailureClass::Permission),
    ("operation not permitted", FailureClass::Permission),
    ("read-only file system", FailureClass::Permission),
    ("merge conflict", FailureClass::Conflict),
    ("already exists", FailureClass::Conflict),
    ("no such file or directory", FailureClass::NotFound),
    ("command not found", FailureClass::NotFound),
];

/// The kind of failure behind an exit code and what was written last.
pub(crate) fn classify(code: i32, written: &str) -> FailureClass {
    if let Some((_, class)) = BY_CODE.iter().find(|(known, _)| *known == code) {
        return *class;
    }
    let written = written.to_lowercase();
    BY_TEXT.iter().find(|(text, _)| written.contains(text)).map_or(FailureClass::Unknown, |(_, class)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_more_than_a_text_and_a_text_more_than_nothing() {
        assert_eq!(classify(75, "permission denied"), FailureClass::Transient);
        assert_eq!(classify(1, "curl: (7) Connection refused"), FailureClass::Transient);
        assert_eq!(classify(1, "cp: No space left on device"), FailureClass::Resource);
        assert_eq!(classify(1, "assertion failed"), FailureClass::Unknown);
    }

    #[test]
    fn a_class_is_written_as_it_is_serialised() {
        for class in [FailureClass::NotFound, FailureClass::Interrupted, FailureClass::Unknown] {
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
        }
    }
}
