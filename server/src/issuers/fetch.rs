//! Reading the key set of an issuer: an address or a file, within limits.

use std::{fs::File, io::Read, time::Duration};

use cku_auth::{LARGEST_SET, TrustedIssuer};
use ureq::{
    Agent,
    config::Config,
    http::Response,
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

/// Bytes of a response's head.
const HEAD: usize = 16 << 10;

/// The bytes at the address of an issuer: `https://`, `http://` on this machine, or a file.
///
/// Redirects are not followed: the journal says where the keys are, and nobody else.
pub(super) fn fetch(issuer: &TrustedIssuer, within: Duration) -> Result<Vec<u8>, String> {
    let address = issuer.jwks.as_str();
    match address.starts_with('/') {
        true => open(address).and_then(limited),
        false => over_http(address, issuer.ca.as_deref(), within),
    }
    .map_err(|why| format!("`{address}`: {why}"))
}

fn open(path: &str) -> Result<File, String> {
    File::open(path).map_err(|error| format!("the file cannot be read: {error}"))
}

/// The certificates of a file, which vouch for an address instead of the public ones.
fn authorities(path: &str) -> Result<RootCerts, String> {
    let pem = open(path).and_then(limited).map_err(|why| format!("`{path}`: {why}"))?;
    let found = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let found: Vec<_> = found.collect();
    match found.is_empty() {
        true => Err(format!("`{path}` has no certificate in PEM")),
        false => Ok(RootCerts::new_with_certs(&found)),
    }
}

fn over_http(address: &str, ca: Option<&str>, within: Duration) -> Result<Vec<u8>, String> {
    let authorities = ca.map(authorities).transpose()?.unwrap_or(RootCerts::WebPki);
    let config = Config::builder()
        .tls_config(TlsConfig::builder().root_certs(authorities).build())
        .timeout_global(Some(within))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_response_header_size(HEAD)
        .max_idle_connections(0)
        .user_agent(concat!("cku/", env!("CARGO_PKG_VERSION")))
        .accept("application/jwk-set+json, application/json");
    // What is on this machine is on no proxy.
    let config = if address.starts_with("http://") { config.proxy(None) } else { config.https_only(true) };
    let agent: Agent = config.build().into();
    let answer: Response<ureq::Body> = agent.get(address).call().map_err(|error| match error {
        ureq::Error::Timeout(_) => format!("it did not answer within {} seconds", within.as_secs()),
        error => error.to_string(),
    })?;
    let status = answer.status();
    if status.is_redirection() {
        return Err(format!(
            "it answers {} and points elsewhere, which is not followed; trust the issuer with the address where its keys are",
            status.as_u16()
        ));
    }
    if status.as_u16() != 200 {
        return Err(format!("it answers {}, not 200", status.as_u16()));
    }
    limited(answer.into_body().into_reader())
}

/// All bytes, if there are not too many.
fn limited(from: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let most = LARGEST_SET as u64;
    from.take(most + 1).read_to_end(&mut bytes).map_err(|error| format!("reading broke off: {error}"))?;
    match bytes.len() as u64 > most {
        true => Err(format!("it has more than {most} bytes")),
        false => Ok(bytes),
    }
}
