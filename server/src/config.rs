//! How a server is set up.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use crate::{forwarded::TrustedProxy, issuers::Issuers};

/// How a server is set up; every member has a default that is safe on one machine.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// A unix socket beside that, if one is wanted.
    pub unix: Option<PathBuf>,
    /// Certificate chain and key, PEM files; without them the listener speaks plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The address by which clients reach it, for discovery; never taken from a request.
    pub public_url: Option<String>,
    /// Threads that serve.
    pub workers: usize,
    /// The mode in which questions of other systems are answered.
    pub mode: Option<String>,
    /// Requests a second that each address, and each principal, may make; without a number, as many as it
    /// wants.
    pub rates: Rates,
    /// What a request may use.
    pub limits: Limits,
    /// How keys that issuers publish are looked at.
    pub issuers: Issuers,
    /// Proxies that are believed when they say whose request they pass on.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// A file with a token of the learner's account: then outcomes are looked at, and what they raise is
    /// proposed.
    pub learner_token: Option<PathBuf>,
    /// The key that draws of exploration are made with; without one, that beside the journal.
    pub exploration_key: Option<PathBuf>,
}

/// How often somebody may ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// An address; a unix socket has none.
    pub address: Option<NonZeroU32>,
    /// A principal, under whatever token.
    pub principal: Option<NonZeroU32>,
}

impl Default for Config {
    /// Loopback, port 7474, a thread for each core.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7474)),
            unix: None,
            tls: None,
            public_url: None,
            workers: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            mode: None,
            rates: Rates::default(),
            limits: Limits::default(),
            issuers: Issuers::default(),
            trusted_proxies: Vec::new(),
            learner_token: None,
            exploration_key: None,
        }
    }
}

/// What a request may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body.
    pub body: usize,
    /// Bytes of a request's head.
    pub head: usize,
    /// Levels of nesting in a document.
    pub nesting: usize,
    /// Items of a batch, results of a page.
    pub items: usize,
    /// How long a client may take to send a head from its first byte on, and a body.
    pub patience: Duration,
    /// How long a connection that was used may stand idle.
    pub idle: Duration,
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time from one address that is no trusted proxy; without a number, as many as it wants.
    pub connections_by_address: Option<NonZeroU32>,
}

impl Default for Limits {
    /// 1 MiB of body, 16 KiB of head, 32 levels, 1,000 items, 10 and 75 seconds, 20,000 connections.
    fn default() -> Self {
        Self {
            body: 1 << 20,
            head: 16 << 10,
            nesting: 32,
            items: 1_000,
            patience: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            connections: 20_000,
            connections_by_address: None,
        }
    }
}
