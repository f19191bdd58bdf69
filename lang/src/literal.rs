//! From a literal as written to an exact value of a type.

use crate::{
    ast::{Literal, LiteralKind},
    types::Type,
};

/// What a literal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Bool(bool),
    Text(String),
    /// A number in the unit of its type.
    Number(i64),
}

/// Why a literal is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LiteralError {
    #[error("`{0}` is no unit")]
    UnknownUnit(String),
    #[error("money is in EUR, not in `{0}`")]
    ForeignCurrency(String),
    #[error("{} has at most {places} decimals", ty.noun())]
    TooPrecise { ty: Type, places: usize },
    #[error("{} is written without decimals", ty.noun())]
    Decimals { ty: Type },
    #[error("{} is at most {}", ty.noun(), limit(*ty))]
    TooLarge { ty: Type },
}

/// The type and value of a literal.
pub(crate) fn resolve(literal: &Literal) -> Result<(Type, Value), LiteralError> {
    match &literal.kind {
        LiteralKind::Bool(value) => Ok((Type::Bool, Value::Bool(*value))),
        LiteralKind::Text(text) => Ok((Type::Text, Value::Text(text.value()))),
        LiteralKind::Quantity(digits, unit) => {
            let (ty, value) = quantity(digits, unit.as_deref())?;
            Ok((ty, Value::Number(value)))
        }
    }
}

fn quantity(digits: &str, unit: Option<&str>) -> Result<(Type, i64), LiteralError> {
    let (ty, scale) = match unit {
        None if digits.contains('.') => (Type::Ratio, Scale::Decimals(4)),
        None => (Type::Count, Scale::Times(1)),
        Some("%") => (Type::Percent, Scale::Decimals(2)),
        Some("EUR") => (Type::Money, Scale::Decimals(2)),
        Some("s") => (Type::Duration, Scale::Times(1)),
        Some("m") => (Type::Duration, Scale::Times(60)),
        Some("h") => (Type::Duration, Scale::Times(3_600)),
        Some("d") => (Type::Duration, Scale::Times(86_400)),
        Some(unit) if unit.len() == 3 && unit.bytes().all(|b| b.is_ascii_uppercase()) => {
            return Err(LiteralError::ForeignCurrency(unit.to_owned()));
        }
        Some(unit) => return Err(LiteralError::UnknownUnit(unit.to_owned())),
    };
    let value = scale.apply(ty, digits)?;
    match ty.domain() {
        Some(domain) if domain.contains(&value) => Ok((ty, value)),
        _ => Err(LiteralError::TooLarge { ty }),
    }
}

/// How written digits become units of the type.
enum Scale {
    /// The unit is this many decimal places of what is written.
    Decimals(usize),
    /// What is written is this many units, and has no decimals.
    Times(i64),
}

impl Scale {
    fn apply(&self, ty: Type, digits: &str) -> Result<i64, LiteralError> {
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
        let number = |text: &str| text.parse::<i64>().map_err(|_| LiteralError::TooLarge { ty });
        match *self {
            Self::Decimals(places) if decimals.len() > places => Err(LiteralError::TooPrecise { ty, places }),
            Self::Decimals(places) => number(&format!("{whole}{decimals:0<places$}")),
            Self::Times(_) if !decimals.is_empty() => Err(LiteralError::Decimals { ty }),
            Self::Times(factor) => number(whole)?.checked_mul(factor).ok_or(LiteralError::TooLarge { ty }),
        }
    }
}

fn limit(ty: Type) -> String {
    ty.domain().map_or_else(String::new, |domain| ty.format(*domain.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_exact_in_their_unit() {
        let cases = [
            ("80", Some("%"), Type::Percent, 8000),
            ("78.5", Some("%"), Type::Percent, 7850),
            ("78.05", Some("%"), Type::Percent, 7805),
            ("0.75", None, Type::Ratio, 7500),
            ("1.0", None, Type::Ratio, 10_000),
            ("50", Some("EUR"), Type::Money, 5000),
            ("0.05", Some("EUR"), Type::Money, 5),
            ("90", Some("s"), Type::Duration, 90),
            ("15", Some("m"), Type::Duration, 900),
            ("12", Some("h"), Type::Duration, 43_200),
            ("30", Some("d"), Type::Duration, 2_592_000),
            ("7", None, Type::Count, 7),
            ("9007199254740991", None, Type::Count, 9_007_199_254_740_991),
        ];
        for (digits, unit, ty, value) in cases {
            assert_eq!(quantity(digits, unit), Ok((ty, value)), "{digits} {unit:?}");
        }
    }

    #[test]
    fn what_cannot_be_exact_is_refused() {
        assert_eq!(
            quantity("78.505", Some("%")),
            Err(LiteralError::TooPrecise { ty: Type::Percent, places: 2 })
        );
        assert_eq!(quantity("100.01", Some("%")), Err(LiteralError::TooLarge { ty: Type::Percent }));
        assert_eq!(quantity("1.5", Some("h")), Err(LiteralError::Decimals { ty: Type::Duration }));
        assert_eq!(quantity("9007199254740992", None), Err(LiteralError::TooLarge { ty: Type::Count }));
        assert_eq!(
            quantity("99999999999999999999", Some("d")),
            Err(LiteralError::TooLarge { ty: Type::Duration })
        );
        assert_eq!(quantity("5", Some("USD")), Err(LiteralError::ForeignCurrency("USD".into())));
        assert_eq!(quantity("5", Some("weeks")), Err(LiteralError::UnknownUnit("weeks".into())));
        assert_eq!(LiteralError::TooLarge { ty: Type::Percent }.to_string(), "a percent is at most 100.00 %");
    }
}
