//! The types of facts and thresholds, their units and domains.

use std::ops::RangeInclusive;

/// The largest integer that JSON, Rego (64-bit floats) and Cedar all hold exactly: 2^53 − 1.
const MAX_EXACT: i64 = (1 << 53) - 1;

/// The type of a fact or threshold. Numbers are integers in the type's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// True or false.
    Bool,
    /// An integer from 0 to 2^53 − 1.
    Count,
    /// Hundredths of a percent, 0 to 10,000.
    Percent,
    /// Ten-thousandths, 0 to 10,000.
    Ratio,
    /// Cents, 0 to 2^53 − 1.
    Money,
    /// Seconds, 0 to 2^53 − 1.
    Duration,
    /// A text.
    Text,
    /// A set of texts.
    SetOfText,
}

impl Type {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Bool,
        Self::Count,
        Self::Percent,
        Self::Ratio,
        Self::Money,
        Self::Duration,
        Self::Text,
        Self::SetOfText,
    ];

    /// The integers a value of this type may be, in its unit; `None` if it is no number.
    pub fn domain(self) -> Option<RangeInclusive<i64>> {
        match self {
            Self::Percent | Self::Ratio => Some(0..=10_000),
            Self::Count | Self::Money | Self::Duration => Some(0..=MAX_EXACT),
            Self::Bool | Self::Text | Self::SetOfText => None,
        }
    }

    /// Writes a value, given in the type's unit, for people: `78.40 %`, `0.6500`, `12.50 EUR`, `15m`, `7`.
    pub fn format(self, value: i64) -> String {
        match self {
            Self::Percent => format!("{} %", decimal(value, 2)),
            Self::Ratio => decimal(value, 4),
            Self::Money => format!("{} EUR", decimal(value, 2)),
            Self::Duration => duration(value),
            Self::Bool | Self::Count | Self::Text | Self::SetOfText => value.to_string(),
        }
    }

    /// The type's name in the gate language.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Count => "count",
            Self::Percent => "percent",
            Self::Ratio => "ratio",
            Self::Money => "money",
            Self::Duration => "duration",
            Self::Text => "text",
            Self::SetOfText => "set of text",
        }
    }

    /// One value of the type, in a sentence.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Bool => "a bool",
            Self::Count => "a count",
            Self::Percent => "a percent",
            Self::Ratio => "a ratio",
            Self::Money => "money",
            Self::Duration => "a duration",
            Self::Text => "a text",
            Self::SetOfText => "a set of text",
        }
    }

    /// The type of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ty| ty.name() == name)
    }

    /// Whether values have an order and a unit.
    pub(crate) fn is_number(self) -> bool {
        self.domain().is_some()
    }

    /// How a value is written in a gate file, to show the form.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Self::Bool => "`true` or `false`",
            Self::Count => "`7`",
            Self::Percent => "`78.5%`",
            Self::Ratio => "`0.75`",
            Self::Money => "`50 EUR`",
            Self::Duration => "`90s`, `15m`, `12h` or `30d`",
            Self::Text => "`\"text\"`",
            Self::SetOfText => "a fact that is a set of text",
        }
    }
}

fn decimal(value: i64, places: u32) -> String {
    let unit = 10_u64.pow(places);
    let magnitude = value.unsigned_abs();
    let sign = if value < 0 { "-" } else { "" };
    let width = places as usize;
    format!("{sign}{}.{:0width$}", magnitude / unit, magnitude % unit)
}

/// In all units that it fills: `2d 15h`, `15m`, `1m 30s`.
fn duration(seconds: i64) -> String {
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];
    let mut left = seconds.unsigned_abs();
    let mut parts = Vec::new();
    for (length, letter) in units {
        if left >= length {
            parts.push(format!("{}{letter}", left / length));
            left %= length;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_their_unit() {
        assert_eq!(Type::Percent.format(7840), "78.40 %");
        assert_eq!(Type::Percent.format(5), "0.05 %");
        assert_eq!(Type::Ratio.format(6500), "0.6500");
        assert_eq!(Type::Money.format(1250), "12.50 EUR");
        assert_eq!(Type::Money.format(-5), "-0.05 EUR");
        assert_eq!(Type::Count.format(7), "7");
        assert_eq!(Type::Duration.format(900), "15m");
        assert_eq!(Type::Duration.format(90), "1m 30s");
        assert_eq!(Type::Duration.format(228_022), "2d 15h 20m 22s");
        assert_eq!(Type::Duration.format(43_200), "12h");
        assert_eq!(Type::Duration.format(86_400), "1d");
        assert_eq!(Type::Duration.format(0), "0s");
    }

    #[test]
    fn every_type_is_found_by_its_name() {
        for ty in Type::ALL {
            assert_eq!(Type::named(ty.name()), Some(ty));
        }
    }
}
