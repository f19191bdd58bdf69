//! How a server is set up: options, the environment, a file, defaults, in this order.

use std::{
    env,
    fmt::{self, Display},
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use cku_base::document::Limits as DocumentLimits;
use cku_server::{Config, ProxyError, TrustedProxy};
use serde::Deserialize;

use tracing_subscriber::filter::LevelFilter;

use super::telemetry::{self, LogFormat, Telling};
use crate::{
    exit::Exit,
    journal, load,
    render::{foreign, style},
};

/// The options.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Flags {
    /// Where it listens.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// A unix socket beside that.
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,

    /// The certificate chain, PEM; with --tls-key it speaks HTTPS.
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// The key of the certificate, PEM.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// The address by which clients reach it, for discovery.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,

    /// Threads that serve; without it, one for each core.
    #[arg(long, value_name = "NUMBER")]
    workers: Option<usize>,

    /// The mode in which questions of other systems are answered; without it, what decides in `prod`.
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,

    /// Bytes of a request's body.
    #[arg(long, value_name = "BYTES")]
    max_body: Option<usize>,

    /// Connections at a time.
    #[arg(long, value_name = "NUMBER")]
    max_connections: Option<usize>,

    /// Seconds in which a client sends a head, and a body.
    #[arg(long, value_name = "SECONDS")]
    patience: Option<u64>,

    /// Connections at a time from one address.
    #[arg(long, value_name = "NUMBER")]
    max_connections_by_address: Option<NonZeroU32>,

    /// Proxies that are believed when they say whose request they pass on: networks, addresses, `unix`.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    trusted_proxy: Vec<TrustedProxy>,

    /// Requests a second that each address may make.
    #[arg(long, value_name = "NUMBER")]
    rate_by_address: Option<NonZeroU32>,

    /// Requests a second that each principal may make.
    #[arg(long, value_name = "NUMBER")]
    rate_by_principal: Option<NonZeroU32>,

    /// How lines on standard error look: `pretty`, or `json` for a JSON object a line.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,

    /// What is told there: `off`, `error`, `warn`, `info`, or `debug` for each request, too.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,

    /// A file with a token of the account `learner`: outcomes are looked at, and what they raise is proposed.
    #[arg(long, value_name = "FILE")]
    learner_token: Option<PathBuf>,

    /// The key that draws of exploration are made with, 32 bytes; without it, that beside the journal.
    #[arg(long, value_name = "FILE")]
    exploration_key: Option<PathBuf>,

    /// A collector that takes spans as OTLP over HTTP, like http://localhost:4318; without it, that of
    /// OTEL_EXPORTER_OTLP_ENDPOINT, or none.
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Seconds after which the keys that issuers publish are looked at again.
    #[arg(long, value_name = "SECONDS")]
    refresh_keys: Option<NonZeroU32>,
}

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Option<SocketAddr>,
    unix: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    public_url: Option<String>,
    workers: Option<usize>,
    mode: Option<String>,
    max_body: Option<usize>,
    max_connections: Option<usize>,
    patience: Option<u64>,
    max_connections_by_address: Option<NonZeroU32>,
    trusted_proxy: Option<Proxies>,
    rate_by_address: Option<NonZeroU32>,
    rate_by_principal: Option<NonZeroU32>,
    log_format: Option<String>,
    log_level: Option<String>,
    otlp_endpoint: Option<String>,
    learner_token: Option<PathBuf>,
    exploration_key: Option<PathBuf>,
    refresh_keys: Option<NonZeroU32>,
}

/// Proxies that are believed, with commas between them.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct Proxies(Vec<TrustedProxy>);

impl FromStr for Proxies {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        text.split(',').map(|proxy| proxy.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<String> for Proxies {
    type Error = ProxyError;

    fn try_from(text: String) -> Result<Self, ProxyError> {
        text.parse()
    }
}

impl Display for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(TrustedProxy::to_string).collect();
        f.write_str(&all.join(", "))
    }
}

/// All settings, and where each comes from.
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) telling: Telling,
    origins: Vec<(&'static str, String, &'static str)>,
}

impl Settings {
    /// As a person reads them.
    pub(super) fn shown(&self) -> impl Display {
        let mut text = String::new();
        let dim = style::DIM;
        for (name, value, origin) in &self.origins {
            // A text always takes more.
            let _ = fmt::Write::write_fmt(
                &mut text,
                format_args!("{name}: {}  {dim}# {origin}{dim:#}\n", foreign(value)),
            );
        }
        text
    }

    /// What a setting is, noted with where it comes from.
    fn pick<T: FromStr<Err: Display> + Display>(
        &mut self,
        name: &'static str,
        flag: Option<T>,
        file: Option<T>,
        default: Option<T>,
    ) -> Result<Option<T>, Exit> {
        let variable = format!("CKU_SERVE_{}", name.to_uppercase());
        let of_environment =
            match env::var(&variable) {
                Ok(text) => Some(text.parse::<T>().map_err(|error| {
                    journal::refuse(&format!("{variable} is `{}`: {error}", foreign(&text)))
                })?),
                Err(_) => None,
            };
        let (value, origin) = match (flag, of_environment, file) {
            (Some(value), _, _) => (Some(value), "option"),
            (None, Some(value), _) => (Some(value), "environment"),
            (None, None, Some(value)) => (Some(value), "file"),
            (None, None, None) => (default, "default"),
        };
        let shown = value.as_ref().map_or_else(|| "none".to_owned(), T::to_string);
        self.origins.push((name, shown, origin));
        Ok(value)
    }

    fn path(
        &mut self,
        name: &'static str,
        flag: Option<&PathBuf>,
        file: Option<PathBuf>,
    ) -> Result<Option<PathBuf>, Exit> {
        let text = |path: &Path| path.display().to_string();
        let picked = self.pick(name, flag.map(|p| text(p)), file.map(|p| text(&p)), None)?;
        Ok(picked.map(PathBuf::from))
    }
}

/// Puts all settings together.
pub(super) fn read(flags: &Flags, file: Option<&Path>) -> Result<Settings, Exit> {
    let file = file.map(read_file).transpose()?.unwrap_or_default();
    let telling = Telling { format: LogFormat::Pretty, level: LevelFilter::INFO, collector: None };
    let mut settings = Settings { config: Config::default(), telling, origins: Vec::new() };
    let mut config = Config::default();
    let limits = config.limits;
    if let Some(listen) = settings.pick("listen", flags.listen, file.listen, Some(config.listen))? {
        config.listen = listen;
    }
    config.unix = settings.path("unix", flags.unix.as_ref(), file.unix)?;
    let certificate = settings.path("tls_cert", flags.tls_cert.as_ref(), file.tls_cert)?;
    let key = settings.path("tls_key", flags.tls_key.as_ref(), file.tls_key)?;
    config.tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(journal::refuse("HTTPS takes both, --tls-cert and --tls-key")),
    };
    config.public_url = settings.pick("public_url", flags.public_url.clone(), file.public_url, None)?;
    if let Some(workers) = settings.pick("workers", flags.workers, file.workers, Some(config.workers))? {
        config.workers = workers.clamp(1, 256);
    }
    config.mode = settings.pick("mode", flags.mode.clone(), file.mode, None)?;
    let body = settings.pick("max_body", flags.max_body, file.max_body, Some(limits.body))?;
    config.limits.body = body.unwrap_or(limits.body);
    let connections = Some(limits.connections);
    let connections =
        settings.pick("max_connections", flags.max_connections, file.max_connections, connections)?;
    config.limits.connections = connections.unwrap_or(limits.connections);
    config.limits.connections_by_address = settings.pick(
        "max_connections_by_address",
        flags.max_connections_by_address,
        file.max_connections_by_address,
        None,
    )?;
    let proxies = Some(Proxies(flags.trusted_proxy.clone())).filter(|proxies| !proxies.0.is_empty());
    let proxies = settings.pick("trusted_proxy", proxies, file.trusted_proxy, None)?;
    config.trusted_proxies = proxies.map(|proxies| proxies.0).unwrap_or_default();
    let patience = Some(limits.patience.as_secs());
    let patience = settings.pick("patience", flags.patience, file.patience, patience)?;
    config.limits.patience = patience.map_or(limits.patience, Duration::from_secs);
    config.rates.address =
        settings.pick("rate_by_address", flags.rate_by_address, file.rate_by_address, None)?;
    config.rates.principal =
        settings.pick("rate_by_principal", flags.rate_by_principal, file.rate_by_principal, None)?;
    let every = u32::try_from(config.issuers.every.as_secs()).ok().and_then(NonZeroU32::new);
    let every = settings.pick("refresh_keys", flags.refresh_keys, file.refresh_keys, every)?;
    if let Some(every) = every {
        config.issuers.every = Duration::from_secs(every.get().into());
    }
    config.learner_token =
        settings.path("learner_token", flags.learner_token.as_ref(), file.learner_token)?;
    config.exploration_key =
        settings.path("exploration_key", flags.exploration_key.as_ref(), file.exploration_key)?;
    settings.config = config;
    let format =
        settings.pick("log_format", flags.log_format.clone(), file.log_format, Some("pretty".into()))?;
    let level = settings.pick("log_level", flags.log_level.clone(), file.log_level, Some("info".into()))?;
    let unusable = |name: &str, value: &str, why: &str| {
        journal::refuse(&format!("`{name}` is `{}`: {why}", foreign(value)))
    };
    if let Some(format) = format {
        settings.telling.format = format.parse().map_err(|why| unusable("log_format", &format, why))?;
    }
    if let Some(level) = level {
        settings.telling.level =
            telemetry::level(&level).map_err(|why| unusable("log_level", &level, why))?;
    }
    let standard = env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok().filter(|address| !address.is_empty());
    settings.telling.collector =
        settings.pick("otlp_endpoint", flags.otlp_endpoint.clone(), file.otlp_endpoint, standard)?;
    Ok(settings)
}

fn read_file(path: &Path) -> Result<File, Exit> {
    let document = load::document(path, DocumentLimits::default())?;
    File::deserialize(document).map_err(|error| {
        journal::refuse(&format!("`{}` is not usable: {}", path.display(), foreign(&error.to_string())))
    })
}
