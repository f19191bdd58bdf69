//! The server, as its users start it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Child,
};

use crate::environment::repository;
use crate::installation::Installation;

/// A server that was started; it is asked to end when this is dropped.
struct Server {
    child: Child,
    address: String,
    /// What it says on standard error after that.
    said: std::sync::mpsc::Receiver<String>,
}

impl Server {
    fn start(installation: &Installation, more: &[&str]) -> Self {
        let mut child = installation.start(&[&["serve", "--listen", "127.0.0.1:0"], more].concat());
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("listening at ").map(str::to_owned));
        let address = address.expect("it says where it listens");
        let (says, said) = std::sync::mpsc::channel();
        std::thread::spawn(move || lines.for_each(|line| drop(says.send(line.unwrap()))));
        Self { child, address, said }
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    }

    fn post(&self, path: &str, body: &str) -> String {
        let length = body.len();
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Asks it to end; its exit code.
    fn end(mut self) -> Option<i32> {
        self.signal("-TERM");
        self.child.wait().unwrap().code()
    }
}

const QUESTION: &str = r#"{"subject":{"type":"user","id":"alice"},"action":{"name":"edit"},"resource":{"type":"record","id":"101"}}"#;

#[test]
fn a_server_answers_follows_its_folder_and_ends_in_order() {
    let installation = Installation::local();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(repository().join("testdata/authzen/bundle"))
        .arg(installation.path("policies"))
        .status();
    assert!(copied.unwrap().success());
    let server = Server::start(&installation, &["--bundle", "policies"]);
    assert!(server.post("/access/v1/evaluation", QUESTION).contains("\"decision\":true"));
    // Owners may edit no more.
    let file = installation.path("policies/authzen/records.cedar");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("Action::\"edit\", Action::\"delete\"", "Action::\"delete\""))
        .unwrap();
    server.signal("-HUP");
    let begun = std::time::Instant::now();
    while !server.post("/access/v1/evaluation", QUESTION).contains("\"decision\":false") {
        assert!(begun.elapsed().as_secs() < 30, "{}", server.get("/healthz"));
    }
    // What does not load changes nothing, and whoever runs it is told.
    std::fs::write(&file, "permit (").unwrap();
    server.signal("-HUP");
    let warned = std::iter::from_fn(|| server.said.recv_timeout(std::time::Duration::from_secs(30)).ok())
        .find(|line| line.contains("what was active stays active"));
    let warned = warned.expect("a warning");
    assert!(warned.starts_with("warning: ") && warned.contains("authzen/records.cedar:1"), "{warned}");
    assert!(server.post("/access/v1/evaluation", QUESTION).contains("\"decision\":false"));
    assert_eq!(server.end(), Some(0));
    assert!(installation.is_intact());
    let verified = installation.cku(&["journal", "verify"]);
    assert_eq!(verified.code, 0, "{}", verified.shown());
}

#[test]
fn what_a_mistyped_setting_is_told() {
    let installation = Installation::local();
    let mut told = String::new();
    let mut say = |what: &str, args: &[&str]| {
        let ran = installation.cku(&[&["serve"], args].concat());
        told.push_str(&format!("{what}\n{}", crate::installation::stable(&ran, &installation)));
    };
    say("no address", &["--listen", "here"]);
    say("an address of others", &["--listen", "0.0.0.0:0"]);
    say("half of HTTPS", &["--tls-cert", "cert.pem"]);
    say("no certificate", &["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    say("a file that is none", &["--config", "none.yaml"]);
    std::fs::write(installation.path("typo.yaml"), "lisden: 127.0.0.1:1\n").unwrap();
    say("a misspelt member", &["--config", "typo.yaml"]);
    say("a network that is none", &["--trusted-proxy", "10.0.0.1/8"]);
    std::fs::write(installation.path("proxy.yaml"), "trusted_proxy: 10.0.0.0/8, proxy\n").unwrap();
    say("a proxy that is none", &["--config", "proxy.yaml"]);
    std::fs::write(
        installation.path("good.yaml"),
        "listen: 127.0.0.1:7000\nmax_body: 4096\ntrusted_proxy: 10.0.0.0/8, unix\n",
    )
    .unwrap();
    say("all settings", &["--config", "good.yaml", "--workers", "3", "--print-config"]);
    say("a folder that is none", &["--bundle", "none"]);
    std::fs::write(installation.path("short.key"), "no key").unwrap();
    let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(installation.path("short.key"), mode(0o600)).unwrap();
    let keyed = |file| ["--listen", "127.0.0.1:0", "--exploration-key", file];
    say("a key of draws that is not there", &keyed("none.key"));
    say("a key of draws that is too short", &keyed("short.key"));
    std::fs::set_permissions(installation.path("short.key"), mode(0o640)).unwrap();
    say("a key of draws that is open to others", &keyed("short.key"));
    say("another format", &["--log-format", "xml"]);
    say("another level", &["--log-level", "all"]);
    say("a collector without an address", &["--otlp-endpoint", "localhost:4318"]);
    insta::assert_snapshot!("settings", told);
}

/// Runs a program; none where it is not installed, which in CI is a failure.
fn tool(program: &str, args: &[&str], folder: &std::path::Path) -> Option<String> {
    match std::process::Command::new(program).args(args).current_dir(folder).output() {
        Ok(output) => {
            assert!(
                output.status.success(),
                "{program} {args:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{program} cannot be run: {error}");
            eprintln!("SKIPPED: {program} is not installed");
            None
        }
    }
}

/// A collector of spans that keeps what it is sent.
fn collector() -> (String, std::sync::mpsc::Receiver<Vec<u8>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    let (sends, sent) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            let mut length = 0;
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some(n) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = n.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            if sends.send(body).is_err() {
                return;
            }
        }
    });
    (at, sent)
}

#[test]
fn an_operator_follows_a_request_through_lines_and_spans() {
    let installation = Installation::local();
    let (at, sent) = collector();
    let bundle = repository().join("testdata/authzen/bundle");
    let bundle = bundle.to_str().unwrap();
    let told = ["--log-format", "json", "--log-level", "debug", "--otlp-endpoint", &at, "--bundle", bundle];
    let mut child = installation.start(&[&["serve", "--listen", "127.0.0.1:0"], &told[..]].concat());
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(|line| {
        let line = line.unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    });
    let address =
        lines.find_map(|line| line["message"].as_str()?.strip_prefix("listening at ").map(str::to_owned));
    let mut stream = TcpStream::connect(address.unwrap()).unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let (length, secret) = (QUESTION.len(), "7c1e-secret");
    let head = format!(
        "POST /access/v1/evaluation?key={secret} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {secret}\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{QUESTION}"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.read_to_string(&mut String::new()).unwrap();
    let answered = lines.find(|line| line["message"] == "answered").unwrap();
    assert_eq!((&answered["route"], &answered["status"]), (&"evaluation".into(), &200.into()));
    assert_eq!(answered["span"]["trace_id"], trace);
    assert!(!answered.to_string().contains(secret), "{answered}");
    let server = Server { child, address: String::new(), said: std::sync::mpsc::channel().1 };
    assert_eq!(server.end(), Some(0));
    // What was waiting for the collector is sent before the end.
    let spans: Vec<u8> = sent.try_iter().flatten().collect();
    let has = |bytes: &[u8]| spans.windows(bytes.len()).any(|window| window == bytes);
    let trace: Vec<u8> =
        (0..16).map(|at| u8::from_str_radix(&trace[2 * at..2 * at + 2], 16).unwrap()).collect();
    assert!(has(&trace), "the spans are of the caller's trace");
    for name in ["evaluation", "evaluate", "record", "read"] {
        assert!(has(name.as_bytes()), "{name}");
    }
    assert!(!has(secret.as_bytes()), "and hold no secret");
}

#[test]
fn it_speaks_https_http2_and_over_a_socket() {
    let installation = Installation::local();
    let folder = installation.path(".");
    let certificate = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1";
    let certificate: Vec<&str> = certificate.split(' ').collect();
    if tool("openssl", &certificate, &folder).is_none() {
        return;
    }
    let https = ["--tls-cert", "cert.pem", "--tls-key", "key.pem", "--unix", "cku.sock"];
    let server = Server::start(&installation, &https);
    let port = server.address.rsplit(':').next().unwrap();
    let url = format!("https://localhost:{port}/v1/decide");
    let document = r#"{"tenant": "acme", "mode": "dev", "submission": {"intent": "tidy up"}}"#;
    for (version, flag) in [("1.1", "--http1.1"), ("2", "--http2")] {
        let asked = tool(
            "curl",
            &[
                "-s",
                flag,
                "--cacert",
                "cert.pem",
                "-o",
                "answer.json",
                "-w",
                "%{http_version} %{http_code}",
                &url,
                "-H",
                "Content-Type: application/json",
                "-d",
                document,
            ],
            &folder,
        );
        let Some(asked) = asked else { return };
        assert_eq!(asked, format!("{version} 200"));
        let answer = std::fs::read_to_string(installation.path("answer.json")).unwrap();
        assert!(answer.contains("\"verdict\":"), "{answer}");
    }
    let ready = tool("curl", &["-s", "--unix-socket", "cku.sock", "http://x/readyz"], &folder).unwrap();
    assert!(ready.contains("\"ready\":true"), "{ready}");
    assert_eq!(server.end(), Some(0));
    // The socket of a server that is gone is in nobody's way.
    let again = Server::start(&installation, &["--unix", "cku.sock"]);
    assert!(again.get("/readyz").contains("\"ready\":true"));
    assert_eq!(again.end(), Some(0));
}
