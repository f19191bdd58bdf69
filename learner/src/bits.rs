//! Floats in stored states, as the hexadecimal of their bits: a state that is read back is the same to
//! the last bit, whichever JSON library read it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A float whose stored form is exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub(crate) struct Exact(pub(crate) f64);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0.to_bits()))
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bits = u64::from_str_radix(&text, 16).map_err(de::Error::custom)?;
        let float = f64::from_bits(bits);
        if float.is_nan() {
            Err(de::Error::custom("a stored number is not a number"))
        } else {
            Ok(Self(float))
        }
    }
}

/// Bits of one float.
pub(crate) mod one {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(float: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        Exact(*float).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Exact::deserialize(deserializer)?.0)
    }
}

/// Bits of a list of floats.
pub(crate) mod list {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(floats: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(floats.iter().map(|float| Exact(*float)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let all = Vec::<Exact>::deserialize(deserializer)?;
        Ok(all.into_iter().map(|exact| exact.0).collect())
    }
}

/// Bits of an array of floats.
pub(crate) mod array {
    use super::*;

    pub(crate) fn serialize<S: Serializer, const N: usize>(
        floats: &[f64; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        list::serialize(floats, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[f64; N], D::Error> {
        let all = list::deserialize(deserializer)?;
        all.try_into().map_err(|_| de::Error::custom("a stored list of numbers has another length"))
    }
}
