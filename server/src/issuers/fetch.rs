//! Reading the key set of an issuer: an address or a file, within limits.

use std::{fs::File, io::Read, time::Duration};

use cku_auth::LARGEST_SET;
use ureq::{Agent, config::Config, http::Response};

/// Bytes of a response's head.
const HEAD: usize = 16 << 10;

/// The bytes at an address that [`cku_auth::TrustedIssuer`] takes: `https://`, `http://` on this machine, or a
/// file.
///
/// Redirects are not followed: the journal says where the keys are, and nobody else.
pub(super) fn fetch(address: &str, within: Duration) -> Result<Vec<u8>, String> {
    match address.starts_with('/') {
        true => limited(File::open(address).map_err(|error| format!("`{address}` cannot be read: {error}"))?),
        false => over_http(address, within),
    }
    .map_err(|why| format!("`{address}`: {why}"))
}

fn over_http(address: &str, within: Duration) -> Result<Vec<u8>, String> {
    let config = Config::builder()
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
