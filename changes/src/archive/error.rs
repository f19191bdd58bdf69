//! Why an archive cannot be written or read.

use cku_base::Digest;

/// Why an archive cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// It holds no manifest of a bundle.
    #[error("there is no `bundle.yaml`; an archive holds a bundle")]
    NoBundle,
    /// The manifest of the bundle cannot be used.
    #[error("the bundle cannot be used: {0}")]
    Bundle(String),
    /// A data file cannot be read, or two stand at the same path.
    #[error("`{path}` cannot be given to OPA: {problem}")]
    Data {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A name that means something else to OPA.
    #[error(
        "OPA would take `{0}` for a file of its own; give it another name (`data/a/data.yaml` means the same as `data/a.yaml`)"
    )]
    OpaName(String),
    /// No gzip at all.
    #[error("it is no gzip; archives are `tar.gz`, which `cku bundle build` writes")]
    NotGzip,
    /// It ends early.
    #[error("it ends early; fetch it again")]
    Truncated,
    /// Its compressed data are damaged.
    #[error("it is damaged: {0}; fetch it again")]
    Damaged(String),
    /// Bytes follow the end.
    #[error("bytes follow its end, which belong to nothing; fetch it again")]
    TrailingBytes,
    /// A second gzip member follows the first.
    #[error("a second gzip stream follows the first; write it with `cku bundle build`")]
    SecondStream,
    /// A path leads out of the archive.
    #[error("the path `{0}` leads out of the archive")]
    LeadsOut(String),
    /// A path is absolute.
    #[error("the path `{0}` is absolute; paths are relative to the bundle")]
    Absolute(String),
    /// A path is empty, not UTF-8 or has characters that no path may have.
    #[error("`{0}` is no path: it is empty, not UTF-8, or has control characters or backslashes")]
    BadPath(String),
    /// A link.
    #[error("`{0}` is a link; an archive holds files only")]
    Link(String),
    /// A device or a pipe.
    #[error("`{0}` is a device or a pipe; an archive holds files only")]
    Device(String),
    /// Something else that is no file.
    #[error("`{0}` is no file; an archive holds files only")]
    NoFile(String),
    /// A path stands twice.
    #[error("`{0}` stands in it twice")]
    Twice(String),
    /// A file that no bundle has.
    #[error("`{0}` belongs to no bundle; it ends in none of the names that a bundle has")]
    UnknownFile(String),
    /// A file is not UTF-8.
    #[error("`{0}` is not UTF-8 text")]
    NotText(String),
    /// More bytes than are read.
    #[error("unpacked it has more than {0} bytes")]
    TooLarge(u64),
    /// A file with more bytes than are read.
    #[error("`{path}` has more than {limit} bytes")]
    FileTooLarge {
        /// The file.
        path: String,
        /// How many it may have.
        limit: u64,
    },
    /// More files than are read.
    #[error("it has more than {0} files")]
    TooManyFiles(usize),
    /// It grows too much for policies.
    #[error("it grows to more than {0} times its size, as policies never do")]
    Bomb(u64),
    /// It has no manifest of OPA's kind.
    #[error("it has no `{0}`; write it with `cku bundle build`")]
    Missing(&'static str),
    /// Its manifest cannot be read.
    #[error("its `.manifest` cannot be read: {0}")]
    Manifest(String),
    /// It was written for another version of the language.
    #[error(
        "it was written for version {said} of the language, and this cku has {here}; build it again from its sources"
    )]
    OtherLanguage {
        /// What it says.
        said: String,
        /// What this cku has.
        here: u32,
    },
    /// Its manifest names another revision than its files have.
    #[error("its `.manifest` says {said}, and its files are {is}: it was changed")]
    WrongRevision {
        /// What it says.
        said: String,
        /// What its files are.
        is: Digest,
    },
    /// A generated file is not what the other files give.
    #[error("its `{0}` is not what its other files give: it was changed")]
    Generated(&'static str),
    /// The signatures cannot be read.
    #[error("its `.signatures.json` cannot be read: {0}")]
    Signatures(String),
    /// It cannot be written.
    #[error("it cannot be written: {0}")]
    Write(String),
}
