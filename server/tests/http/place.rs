//! A journal and a server over it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use cku_authority::{Admin, Control, Floor, Genesis, found_at};
use cku_base::{Principal, PrincipalKind, TenantPath, Timestamp};
use cku_engine::Bundle;
use cku_gates::{Authentication, Submitter};
use cku_journal::{Journal, Options, Projector, Together};
use cku_runs::Projections;
use cku_server::{Config, Policies, Served, serve};
use serde_json::Value;

pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) journal: Journal,
    pub(crate) server: Served,
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_unix_micros(since.as_micros().try_into().unwrap()).unwrap()
}

pub(crate) fn options() -> Options {
    let parts: Vec<Box<dyn Projector>> = vec![Box::new(Projections), Box::new(cku_changes::diff::DiffRows)];
    let projector = Arc::new(Together::new(parts, &cku_authority::TABLES));
    Options { clock: Arc::new(now), projector, ..Options::default() }
}

pub(crate) fn user(id: &str) -> Principal {
    Principal { kind: PrincipalKind::User, id: id.parse().unwrap(), tenant: TenantPath::root() }
}

pub(crate) fn genesis(authentication: Authentication, keys: Vec<Value>) -> Genesis {
    let issuer = (authentication == Authentication::Token).then(|| "https://id.acme.example".to_owned());
    Genesis {
        admin: Admin { issuer, principal: user("dana") },
        authentication,
        audience: "cku".to_owned(),
        keys,
        bundles: Default::default(),
        control: Control::Files,
        directory: None,
        floor: Floor::default(),
    }
}

pub(crate) fn quiet() -> Config {
    Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), workers: 2, ..Config::default() }
}

/// A release with the reports of its tools.
pub(crate) fn release() -> Value {
    let read = |name: &str| {
        let bytes = std::fs::read(repository().join("testdata/inputs").join(name)).unwrap();
        cku_base::document::read(name, &bytes, cku_base::document::Limits::default()).unwrap()
    };
    let mut submission = read("release-humanize.yaml")["submission"].clone();
    submission["evidence"] = read("evidence/humanize.json")["evidence"].clone();
    submission
}

impl Place {
    /// A single user's journal under the bundle in a folder.
    pub(crate) fn over(bundle: &Path, config: Config) -> Self {
        let directory = bundle.to_owned();
        let load =
            move || Bundle::load(&directory).map(Arc::new).map_err(|e| e.diagnostics[0].message.clone());
        Self::with(
            Policies::Files(Arc::new(load)),
            &genesis(Authentication::Local, Vec::new()),
            bundle,
            config,
        )
    }

    pub(crate) fn with(policies: Policies, genesis: &Genesis, bundle: &Path, config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let by = Submitter {
            principal: genesis.admin.principal.clone(),
            authentication: genesis.authentication,
            token: None,
        };
        let bundle = Bundle::load(bundle).unwrap();
        let control = Bundle::load(&repository().join("policies/change-control")).unwrap();
        let control = (genesis.control == Control::Managed).then_some(&control);
        let journal = found_at(&path, options(), &by, genesis, &bundle, control).unwrap();
        let server = serve(config, journal.clone(), policies, now).unwrap();
        Self { folder, journal, server }
    }

    /// The scenarios of the AuthZEN working group.
    pub(crate) fn authzen() -> Self {
        Self::over(&repository().join("testdata/authzen/bundle"), quiet())
    }

    pub(crate) fn at(&self) -> SocketAddr {
        self.server.address
    }
}
