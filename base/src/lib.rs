//! What every crate of cku shares, and nothing more.
//!
//! A value that exists is valid: a [`Digest`] is 32 bytes of SHA-256, a [`TenantPath`] has only
//! well-formed segments, a [`Timestamp`] is UTC with microseconds. Two things make decisions
//! reproducible: there is one [`canonical`] JSON (RFC 8785) and one digest over it. And there is
//! one [`Diagnostic`](diagnostic::Diagnostic), which every crate fills in and only surfaces render.
//!
//! ```
//! use cku_base::{Digest, TenantPath};
//!
//! let team: TenantPath = "acme/payments".parse()?;
//! assert!("acme".parse::<TenantPath>()?.contains(&team));
//!
//! // Members in another order are the same document, and have the same digest.
//! let a = serde_json::json!({"b": 1, "a": 2});
//! let b = serde_json::json!({"a": 2, "b": 1});
//! assert_eq!(Digest::of_canonical(&a)?, Digest::of_canonical(&b)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod basis_points;
pub mod canonical;
pub mod diagnostic;
mod digest;
pub mod document;
mod principal;
mod suggest;
mod tenant;
mod timestamp;

pub use basis_points::{BasisPoints, BasisPointsError};
pub use digest::{Digest, DigestError};
pub use principal::{Principal, PrincipalId, PrincipalIdError, PrincipalKind};
pub use suggest::suggest;
pub use tenant::{TenantPath, TenantPathError};
pub use timestamp::{Timestamp, TimestampError};
