//! Decisions over HTTP: AuthZEN, the nine gates, the control plane.
//!
//! [`serve`] listens and hands each connection to one of a few threads. A thread keeps its own evaluators
//! and everything that is on the way of a decision: reading a request, who asks, the answer of the
//! policies. What is decided goes to the one [`Recorder`](record::Recorder), which writes all that waits as
//! one entry of the journal; no answer leaves before that is durable.
//!
//! What decides, who may ask and whose tokens count is an [`Active`](active::Active): it is made anew when
//! the journal says so, off the threads that serve, and swapped at once. A request keeps the one it began
//! with.
//!
//! ```
//! use cku_server::{Config, Policies, ServeError, serve};
//!
//! // The change control in the journal says what is active.
//! fn run(journal: cku_journal::Journal, now: fn() -> cku_base::Timestamp) -> Result<(), ServeError> {
//!     let server = serve(Config::default(), journal, Policies::Managed, now)?;
//!     println!("listening at {}", server.address);
//!     server.stop();
//!     Ok(())
//! }
//! ```

mod active;
mod answer;
mod authn;
mod authzen;
mod body;
mod caller;
mod config;
mod connection;
mod context;
mod control;
mod events;
mod forwarded;
mod health;
mod issuers;
mod learner;
mod limit;
mod metrics;
mod native;
mod openapi;
mod record;
mod reliability;
mod route;
mod serve;
mod trace;
mod used;

pub use active::{ActiveError, Policies};
pub use config::{Config, Limits, Rates};
pub use forwarded::{ProxyError, TrustedProxy};
pub use issuers::{Found, Issuers, look_at_keys};
pub use serve::{ServeError, Served, serve};
