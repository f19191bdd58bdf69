//! Tenants: organisation / workspace / project.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A tenant, as the path of its names: `acme/payments`; the root of all is `/`.
///
/// INVARIANT: each segment is 1 to 64 characters of `a-z 0-9 . _ -` and starts with a letter or
/// digit, there are at most 8 of them, and the text has no leading or trailing slash (but the root).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantPath(String);

/// A text that names no tenant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a tenant; write names of lower-case letters, digits, `.`, `_` and `-` with `/` between them, like `acme/payments`"
)]
pub struct TenantPathError(String);

const MAX_SEGMENTS: usize = 8;
const MAX_SEGMENT: usize = 64;

impl TenantPath {
    /// The root tenant, `/`.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tenant one level up; none above the root.
    pub fn parent(&self) -> Option<Self> {
        match self.0.rsplit_once('/') {
            _ if self.0 == "/" => None,
            Some((parent, _)) => Some(Self(parent.to_owned())),
            None => Some(Self::root()),
        }
    }

    /// This tenant and all above it, the root last.
    pub fn ancestry(&self) -> impl Iterator<Item = Self> + use<> {
        std::iter::successors(Some(self.clone()), Self::parent)
    }

    /// Whether `other` is this tenant or lies below it.
    pub fn contains(&self, other: &Self) -> bool {
        self.0 == "/"
            || other.0 == self.0
            || other.0.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for TenantPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TenantPath {
    type Err = TenantPathError;

    fn from_str(text: &str) -> Result<Self, TenantPathError> {
        let well_formed =
            text == "/" || (text.split('/').count() <= MAX_SEGMENTS && text.split('/').all(is_segment));
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(TenantPathError(text.chars().take(100).collect()))
        }
    }
}

fn is_segment(text: &str) -> bool {
    let bytes = text.as_bytes();
    let name = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    bytes.len() <= MAX_SEGMENT
        && bytes.first().is_some_and(name)
        && bytes.iter().all(|b| name(b) || matches!(b, b'.' | b'_' | b'-'))
}

impl Serialize for TenantPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TenantPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tenant(text: &str) -> TenantPath {
        text.parse().unwrap()
    }

    #[test]
    fn a_tenant_contains_itself_and_what_is_below_but_no_namesake() {
        assert!(tenant("acme").contains(&tenant("acme")));
        assert!(tenant("acme").contains(&tenant("acme/payments/eu")));
        assert!(tenant("/").contains(&tenant("acme")));
        assert!(!tenant("acme").contains(&tenant("acme-two/payments")));
        assert!(!tenant("acme/payments").contains(&tenant("acme")));
        assert!(!tenant("acme").contains(&tenant("/")));
    }

    #[test]
    fn ancestry_ends_at_the_root() {
        let up: Vec<_> = tenant("acme/payments").ancestry().map(|t| t.to_string()).collect();
        assert_eq!(up, ["acme/payments", "acme", "/"]);
    }

    #[test]
    fn dots_and_empty_segments_are_no_way_out() {
        for bad in
            ["", "acme/", "/acme", "acme//x", "acme/../globex", ".", "Acme", "a b", "a/b/c/d/e/f/g/h/i"]
        {
            assert!(bad.parse::<TenantPath>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn containment_is_ancestry(a in "[a-c]{1,2}(/[a-c]{1,2}){0,3}", b in "[a-c]{1,2}(/[a-c]{1,2}){0,3}") {
            let (a, b) = (tenant(&a), tenant(&b));
            prop_assert_eq!(a.contains(&b), b.ancestry().any(|up| up == a));
        }
    }
}
