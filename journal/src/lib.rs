//! The append-only, hash-chained, durable record.
//!
//! A [`Journal`] keeps one chain of [`Entry`]s per tenant in one file. A [`Command`] is a few
//! [`Draft`]s that are written together or not at all; [`Journal::append`] answers when they are
//! durable. Whoever changes, drops, reorders or cuts what was written is found by
//! [`Journal::verify_all`], and by a page of Python beside the test vectors in `testdata/journal`.
//!
//! What the entries mean is for others to say: a [`Projector`] derives rows from them, which are kept
//! in the same transaction and can be computed anew at any time.
//!
//! ```
//! use cku_journal::{Command, Draft, Journal, Kind, Options};
//!
//! let folder = tempfile::tempdir()?;
//! let journal = Journal::create(&folder.path().join("journal.db"), Options::default())?;
//! let serde_json::Value::Object(body) = serde_json::json!({
//!     "actor": "cku", "subject": "killswitch", "on": true, "reason": "fire drill",
//! }) else { unreachable!() };
//! let draft = Draft { tenant: "acme".parse()?, kind: Kind::KillSwitchSet, body };
//! let written = journal.append(Command { drafts: vec![draft], ..Command::default() })?;
//! assert_eq!(written.entries[0].header.seq, 1);
//! assert_eq!(journal.verify_all()?[0].to, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod claim;
mod command;
mod contents;
mod damage;
mod derived;
mod entry;
mod journal;
mod kind;
mod projection;
mod schema;
mod sqlite;
mod store;
mod verify;
mod writer;

pub use claim::{Claim, ClaimError};
pub use command::{AppendError, Appended, Command, Draft, Guard, RowGuard};
pub use damage::{Damage, DamageKind, Verified, VerifyError};
pub use derived::Confirmed;
pub use entry::{Body, Entry, Head, Header, Salt};
pub use journal::{Journal, Options};
pub use kind::Kind;
pub use projection::{NoProjections, ProjectError, Projector, Rows, Together};
pub use schema::{FORMAT, OpenError};
pub use store::{ReadError, Ready, StorageError, Store};
pub use writer::{Health, Pending};
