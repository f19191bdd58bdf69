//! The names of issuers.

/// An issuer is a URI, since names are reserved under it for good.
pub(crate) fn issuer(text: &str) -> Result<String, String> {
    let visible = text.bytes().all(|b| b.is_ascii_graphic());
    let host = |rest: &str| rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
    let at_home = |host: &str| {
        ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .any(|home| host.strip_prefix(home).is_some_and(|port| port.is_empty() || port.starts_with(':')))
    };
    let is_uri = match text.split_once(':') {
        Some(("https", rest)) => rest.strip_prefix("//").is_some_and(|rest| !host(rest).is_empty()),
        Some(("http", rest)) => rest.strip_prefix("//").is_some_and(|rest| at_home(&host(rest))),
        Some(("urn", rest)) => {
            rest.split_once(':').is_some_and(|(space, name)| !space.is_empty() && !name.is_empty())
        }
        _ => false,
    };
    if visible && is_uri {
        return Ok(text.to_owned());
    }
    Err("an issuer is a URI; write one like `https://id.acme.example`, `urn:acme:id`, or `http://localhost:8080`"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_a_uri_and_http_stays_at_home() {
        for good in ["https://id.acme.example", "https://id.acme.example/realms/a", "urn:acme:id"] {
            assert_eq!(issuer(good).as_deref(), Ok(good));
        }
        for good in ["http://localhost", "http://localhost:8080/x", "http://[::1]:80", "http://127.0.0.1"] {
            assert_eq!(issuer(good).as_deref(), Ok(good));
        }
        let bad = ["", "not-a-url", "id.acme.example", "https://", "https:///x", "http://id.acme.example"];
        for bad in bad.into_iter().chain(["http://localhost.evil", "urn:x", "ftp://x", "https://a b"]) {
            assert!(issuer(bad).is_err(), "{bad}");
        }
    }
}
