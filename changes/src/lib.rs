//! Change control: how a bundle changes.
//!
//! [`archive`] packs a bundle, signs it and reads it back. [`prove`] says in which direction one bundle
//! differs from another, with proofs where there can be any. [`replay`] decides recorded inputs anew under
//! two bundles. [`diff`] is a policy diff on its way from proposed to active:
//! every act on it is an entry of the journal, and what becomes active does so in one.

pub mod archive;
pub mod diff;
#[cfg_attr(not(feature = "prover"), allow(dead_code, unused_imports, reason = "only the prover uses it"))]
pub mod prove;
pub mod replay;
