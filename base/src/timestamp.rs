//! Points in time: RFC 3339, UTC, to the microsecond.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// A point in time, UTC, to the microsecond; as text RFC 3339 with `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

/// A text that is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time; write RFC 3339 in UTC, like `2026-11-20T12:00:00Z`")]
pub struct TimestampError(String);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(OffsetDateTime::UNIX_EPOCH);

    /// From seconds since 1970-01-01T00:00:00Z; none outside the years 0 to 9999.
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp(seconds).ok().filter(|t| (0..=9999).contains(&t.year())).map(Self)
    }

    /// From microseconds since 1970-01-01T00:00:00Z; none outside the years 0 to 9999.
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok();
        time.filter(|t| (0..=9999).contains(&t.year())).map(Self)
    }

    /// Microseconds from `earlier` to this; 0 where it is not earlier.
    pub fn micros_since(self, earlier: Self) -> u64 {
        u64::try_from(self.unix_micros() - earlier.unix_micros()).unwrap_or(0)
    }

    /// This much later; none past the year 9999.
    pub fn after(self, span: std::time::Duration) -> Option<Self> {
        let micros = i64::try_from(span.as_micros()).ok()?;
        Self::from_unix_micros(self.unix_micros().checked_add(micros)?)
    }

    /// Whole microseconds since 1970-01-01T00:00:00Z.
    pub fn unix_micros(self) -> i64 {
        // The years 0 to 9999 span less than 2^59 microseconds.
        i64::try_from(self.0.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.0;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second()
        )?;
        match t.microsecond() {
            0 => f.write_str("Z"),
            micros => write!(f, ".{micros:06}Z"),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let refused = || TimestampError(text.chars().take(100).collect());
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| refused())?;
        // UTC is demanded, not converted to: one instant has one spelling in a digest.
        if time.offset() != UtcOffset::UTC || !(0..=9999).contains(&time.year()) {
            return Err(refused());
        }
        let micros = time.nanosecond() / 1_000 * 1_000;
        time.replace_nanosecond(micros).map(Self).map_err(|_| refused())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_utc_or_not_a_time_is_refused() {
        for bad in
            ["2026-11-20", "2026-11-20T12:00:00+01:00", "2026-02-30T00:00:00Z", "noon", "2026-11-20 12:00:00"]
        {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    #[test]
    fn fractions_are_kept_to_the_microsecond() {
        let t: Timestamp = "2026-11-20T12:00:00.123456789Z".parse().unwrap();
        assert_eq!(t.to_string(), "2026-11-20T12:00:00.123456Z");
    }

    proptest! {
        #[test]
        fn text_reads_back(seconds in -60_000_000_000i64..250_000_000_000) {
            let t = Timestamp::from_unix_seconds(seconds).unwrap();
            prop_assert_eq!(t.to_string().parse::<Timestamp>().unwrap(), t);
            prop_assert_eq!(t.unix_micros(), seconds * 1_000_000);
            prop_assert_eq!(Timestamp::from_unix_micros(seconds * 1_000_000), Some(t));
        }
    }
}
