//! A client that sends exactly what a test says.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Came {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// What is wrong, in a line.
    pub(crate) fn told(&self) -> String {
        format!("{} {}", self.status, self.json()["detail"].as_str().unwrap_or_default())
    }
}

/// A connection that stays open.
pub(crate) struct Connection(pub(crate) TcpStream);

impl Connection {
    pub(crate) fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // A server that has heard enough may close before all is sent.
        let _ = self.0.write_all(bytes);
    }

    pub(crate) fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> Came {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: elsewhere.example\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n"
        );
        self.send(&[head.as_bytes(), body].concat());
        self.receive().unwrap_or_else(|| panic!("no answer from {path}"))
    }

    /// One answer; none if the connection was closed without.
    pub(crate) fn receive(&mut self) -> Option<Came> {
        let mut bytes = Vec::new();
        let mut piece = [0; 16_384];
        loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
                let length = head.lines().find_map(|line| {
                    line.to_lowercase().strip_prefix("content-length: ").map(|n| n.parse::<usize>().unwrap())
                });
                let length = length.unwrap_or(0);
                if bytes.len() >= end + 4 + length {
                    let body = String::from_utf8(bytes[end + 4..end + 4 + length].to_vec()).unwrap();
                    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                    return Some(Came { status, head, body });
                }
            }
            match self.0.read(&mut piece) {
                Ok(0) | Err(_) => return None,
                Ok(read) => bytes.extend_from_slice(&piece[..read]),
            }
        }
    }
}

/// Posts a document over a connection of its own.
pub(crate) fn post(to: SocketAddr, path: &str, document: &Value) -> Came {
    Connection::open(to).post(path, "", document.to_string().as_bytes())
}

/// Gets something over a connection of its own.
pub(crate) fn get(to: SocketAddr, path: &str, headers: &str) -> Came {
    let mut connection = Connection::open(to);
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes());
    connection.receive().unwrap()
}
