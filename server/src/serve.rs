//! Listening, the threads that serve, and an orderly end.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::FileTypeExt,
    path::Path,
    rc::Rc,
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use cku_authority::Chains;
use cku_base::Timestamp;
use cku_journal::Journal;
use cku_learning::TrackRecords;
use cku_runs::{ExplorationKey, KeyError};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{mpsc, watch},
    task::{JoinSet, LocalSet},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    active::{ActiveError, Current, Policies},
    config::Config,
    connection::{self, Counted},
    context::{Local, Shared},
    issuers::{self, Looks},
    learner,
    limit::Limiter,
    metrics::Metrics,
    record::Recorder,
    reliability,
};

/// How often the journal is asked whether it says something else now: what another process wrote there, such
/// as a key that was revoked, holds after at most that long.
const LOOK: Duration = Duration::from_millis(50);

/// How often files of policies are looked at.
const FILES: Duration = Duration::from_millis(250);

/// How often chains are verified further.
const VERIFY: Duration = Duration::from_secs(5);

/// How long open connections may take to come to their end.
const FAREWELL: Duration = Duration::from_secs(30);

/// Evaluation is recursive, as policies are.
const STACK: usize = 8 << 20;

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Nobody can reach it there.
    #[error("cannot listen at {at}: {error}")]
    Listen {
        /// Where.
        at: String,
        /// Why not.
        error: io::Error,
    },
    /// The certificate or the key cannot be used.
    #[error("the certificate or its key cannot be used: {0}")]
    Tls(String),
    /// The key that was named for draws cannot be used.
    #[error(transparent)]
    ExplorationKey(#[from] KeyError),
    /// What decides cannot be told.
    #[error(transparent)]
    Active(#[from] ActiveError),
    /// A thread could not be started.
    #[error("no thread: {0}")]
    Thread(io::Error),
}

/// A server that runs; dropped, it ends in order.
#[derive(Debug)]
pub struct Served {
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    look: std::sync::mpsc::Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Served {
    /// Looks at the policies' files at once.
    pub fn reload(&self) {
        // A thread that ended has nothing to look at.
        let _ = self.look.send(());
    }

    /// Takes no more connections, answers what was accepted, and ends.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.stop.send(true);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}

/// A connection on its way to the thread that serves it.
enum Accepted {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// Serves a journal until the server is dropped.
pub fn serve(
    config: Config,
    journal: Journal,
    policies: Policies,
    clock: fn() -> Timestamp,
) -> Result<Served, ServeError> {
    let listening = |error| ServeError::Listen { at: config.listen.to_string(), error };
    let tcp = std::net::TcpListener::bind(config.listen).map_err(listening)?;
    let address = tcp.local_addr().map_err(listening)?;
    tcp.set_nonblocking(true).map_err(listening)?;
    let unix = config.unix.as_deref().map(unix_listener).transpose()?;
    let tls = tls(&config)?;
    let exploration = match &config.exploration_key {
        Some(named) => ExplorationKey::read_from(named.clone())?,
        None => ExplorationKey::beside(journal.path()),
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let public_url = config.public_url.clone().unwrap_or_else(|| format!("{scheme}://{address}"));
    let follows_files = matches!(policies, Policies::Files(_));
    let (stop, stops) = watch::channel(false);
    let looks = Looks::new(config.issuers);
    let limiter = Limiter::new(config.rates.address, config.rates.principal);
    let metrics = Metrics::new();
    let shared = Arc::new(Shared {
        public_url: public_url.trim_end_matches('/').to_owned(),
        current: Current::new(journal.clone(), policies)?,
        recorder: Recorder::new(journal.clone(), metrics.commits.clone()),
        config,
        exploration,
        journal,
        chains: Chains::default(),
        records: TrackRecords::default(),
        limiter,
        metrics,
        looks,
        clock,
        started: Instant::now(),
        connections: 0.into(),
        by_address: Mutex::default(),
        streams: 0.into(),
        stop: stops,
    });
    let mut threads = Vec::new();
    let mut ways = Vec::new();
    for number in 0..shared.config.workers.max(1) {
        let (way, accepted) = mpsc::unbounded_channel();
        let (shared, tls) = (shared.clone(), tls.clone());
        threads.push(thread(format!("serve-{number}"), move || worker(shared, tls, accepted))?);
        ways.push(way);
    }
    let (look, looks) = std::sync::mpsc::channel();
    let of = shared.clone();
    threads.push(thread("policies".to_owned(), move || follow(&of, &looks, follows_files))?);
    let of = shared.clone();
    threads.push(thread("issuers".to_owned(), move || issuers::follow(&of))?);
    let of = shared.clone();
    threads.push(thread("verify".to_owned(), move || verify(&of))?);
    let of = shared.clone();
    threads.push(thread("reliability".to_owned(), move || reliability::follow(&of))?);
    if let Some(token) = shared.config.learner_token.clone() {
        let of = shared.clone();
        threads.push(thread("learner".to_owned(), move || learner::learn(&of, &token))?);
    }
    threads.push(thread("accept".to_owned(), move || accept(&shared, tcp, unix, &ways))?);
    Ok(Served { address, stop, look, threads })
}

fn thread(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, ServeError> {
    let builder = std::thread::Builder::new().name(name).stack_size(STACK);
    builder.spawn(run).map_err(ServeError::Thread)
}

fn unix_listener(path: &Path) -> Result<std::os::unix::net::UnixListener, ServeError> {
    let listening = |error| ServeError::Listen { at: path.display().to_string(), error };
    // A socket that nobody listens at any more is in the way.
    let stale = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
        && std::os::unix::net::UnixStream::connect(path).is_err();
    if stale {
        fs::remove_file(path).map_err(listening)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(path).map_err(listening)?;
    listener.set_nonblocking(true).map_err(listening)?;
    Ok(listener)
}

fn tls(config: &Config) -> Result<Option<TlsAcceptor>, ServeError> {
    let Some((chain, key)) = &config.tls else { return Ok(None) };
    let unusable = |what: &Path, why: String| ServeError::Tls(format!("{}: {why}", what.display()));
    let chain = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| unusable(chain, e.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| unusable(key, e.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| ServeError::Tls(e.to_string()))?;
    let mut server = server
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| ServeError::Tls(e.to_string()))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}

/// Makes hold what the journal and the files say, until the server ends.
fn follow(shared: &Shared, looks: &std::sync::mpsc::Receiver<()>, follows_files: bool) {
    let mut files = Instant::now();
    while !*shared.stop.borrow() {
        let asked = looks.recv_timeout(LOOK).is_ok();
        let due = follows_files && (asked || files.elapsed() >= FILES);
        shared.current.refresh(due);
        if due {
            files = Instant::now();
        }
    }
}

/// Verifies chains further, so that no decision waits for one that was verified before.
fn verify(shared: &Shared) {
    let mut last = Instant::now();
    while !*shared.stop.borrow() {
        std::thread::sleep(LOOK);
        if last.elapsed() >= VERIFY {
            last = Instant::now();
            if let Err(error) = shared.chains.refresh(&shared.journal, (shared.clock)()) {
                tracing::warn!("a chain could not be verified: {error}");
            }
        }
    }
}

/// Takes connections and hands them to the threads in turn.
fn accept(
    shared: &Shared,
    tcp: std::net::TcpListener,
    unix: Option<std::os::unix::net::UnixListener>,
    ways: &[mpsc::UnboundedSender<Accepted>],
) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let mut stop = shared.stop.clone();
    let mut turn = ways.iter().cycle();
    let mut hand = |accepted| {
        if let Some(way) = turn.next() {
            let _ = way.send(accepted);
        }
    };
    runtime.block_on(async {
        let Ok(tcp) = TcpListener::from_std(tcp) else { return };
        let unix = unix.and_then(|unix| UnixListener::from_std(unix).ok());
        loop {
            tokio::select! {
                _ = stop.wait_for(|stops| *stops) => return,
                accepted = tcp.accept() => match accepted {
                    Ok((stream, _)) => {
                        // Answers are small and wait for nobody.
                        let _ = stream.set_nodelay(true);
                        if let Ok(stream) = stream.into_std() {
                            hand(Accepted::Tcp(stream));
                        }
                    }
                    Err(error) => out_of_breath(&error).await,
                },
                accepted = accept_unix(unix.as_ref()) => match accepted {
                    Ok(stream) => hand(Accepted::Unix(stream)),
                    Err(error) => out_of_breath(&error).await,
                },
            }
        }
    });
}

/// No descriptors left, most likely: waiting is all that helps.
async fn out_of_breath(error: &io::Error) {
    tracing::warn!("a connection could not be taken: {error}");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn accept_unix(listener: Option<&UnixListener>) -> io::Result<std::os::unix::net::UnixStream> {
    match listener {
        Some(listener) => listener.accept().await?.0.into_std(),
        None => std::future::pending().await,
    }
}

fn worker(shared: Arc<Shared>, tls: Option<TlsAcceptor>, mut accepted: mpsc::UnboundedReceiver<Accepted>) {
    let Ok(runtime) =
        tokio::runtime::Builder::new_current_thread().enable_all().thread_stack_size(STACK).build()
    else {
        return;
    };
    let patience = shared.config.limits.patience;
    LocalSet::new().block_on(&runtime, async move {
        let local = Rc::new(Local::new(shared.clone()));
        let mut open = JoinSet::new();
        while let Some(connection) = accepted.recv().await {
            while open.try_join_next().is_some() {}
            match connection {
                Accepted::Tcp(stream) => {
                    let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { continue };
                    let peer = stream.peer_addr().ok().map(|peer| peer.ip());
                    let Some(counted) = Counted::new(&shared, peer) else { continue };
                    let local = local.clone();
                    match tls.clone() {
                        None => open.spawn_local(connection::serve(local, stream, peer, counted)),
                        Some(tls) => open.spawn_local(async move {
                            if let Ok(Ok(stream)) = tokio::time::timeout(patience, tls.accept(stream)).await {
                                connection::serve(local, stream, peer, counted).await;
                            }
                        }),
                    };
                }
                Accepted::Unix(stream) => {
                    let Ok(stream) = tokio::net::UnixStream::from_std(stream) else { continue };
                    let Some(counted) = Counted::new(&shared, None) else { continue };
                    open.spawn_local(connection::serve(local.clone(), stream, None, counted));
                }
            }
        }
        let _ = tokio::time::timeout(FAREWELL, async { while open.join_next().await.is_some() {} }).await;
    });
}
