//! Who may do what in a journal: its genesis, roles, trusted keys, switches, active bundles.
//!
//! [`found`] writes the first entries. [`AuthorityRows`] computes from entries what is asked for at every
//! decision: [`role_grants`], [`kill_switch`], [`active`]. [`change_role`], [`trust_key`] and the rest are
//! acts of people: each is asked of the access policies, and both what is done and what is denied is an
//! entry.
//!
//! ```
//! use cku_authority::{AuthorityRows, genesis};
//! use cku_journal::{Journal, Options};
//! use std::sync::Arc;
//!
//! let folder = tempfile::tempdir().unwrap();
//! let options = Options { projector: Arc::new(AuthorityRows), ..Options::default() };
//! let journal = Journal::create(&folder.path().join("journal.db"), options).unwrap();
//! assert!(genesis(&journal).unwrap().is_none(), "nobody may do anything yet");
//! ```

mod accounts;
mod acts;
mod bundles;
mod chains;
mod founding;
mod grants;
mod identity;
mod office;
mod rollout;
mod rows;
mod store;
mod submitter;

pub use accounts::{
    close_account, issue_credential, learn, open_account, revoke_credential, revoke_issuer, revoke_token,
    trust_issuer,
};
pub use acts::{
    AccessError, OfficeError, allowed, change_role, revoke_key, set_freeze, set_kill_switch, trust_key,
};
pub use bundles::{
    ACTIVATIONS, BundleError, Deciding, activate, activation, activations, active, active_for,
    active_revision, deciding, genesis, load as load_bundle, rollout,
};
pub use chains::Chains;
pub use founding::{
    FoundingError, can_found, found, found_at, keys_changed_at, keys_trusted_at, trusted_keys,
};
pub use grants::{freeze, kill_switch, revoked_keys, role_grants};
pub use identity::{
    ACCOUNT_ISSUER, AccountClosed, AccountOpened, AccountRow, CredentialIssued, CredentialRow, IssuerRevoked,
    IssuerRow, IssuerTrusted, KeyLearned, KeyRetired, TokenRevoked, account, accounts, credentials, issuers,
    trusted,
};
pub use office::{
    AccessDecided, Admin, BundleActivated, Control, Floor, FreezeSet, GENESIS, Genesis, KeyRevoked,
    KeyTrusted, KillSwitch, Modes, Purpose, RoleChange, Stage,
};
pub use rollout::{Placed, Rollout};
pub use rows::{AuthorityRows, TABLES};
pub use store::{
    CKU, StoreError, UnreadableEntry, body, draft, draft_of, last, named, note, note_after, with_actor,
};
pub use submitter::submitter;
