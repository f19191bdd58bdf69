//! Shares, as people write them.

use cku_base::BasisPoints;

/// A share like `0.95`, in ten-thousandths.
pub(crate) fn share(text: &str) -> Result<BasisPoints, String> {
    let refused = || "write a share from 0 to 1 with at most four digits, like `0.95`".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.len() != 1 || part.len() > 4 || !digits(whole) || !digits(part) {
        return Err(refused());
    }
    let points: u32 = format!("{whole}{part:0<4}").parse().map_err(|_| refused())?;
    BasisPoints::try_from(points).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exact() {
        for (text, points) in [("1", 10_000), ("0.95", 9_500), ("0.0001", 1), ("0", 0), ("1.0", 10_000)] {
            assert_eq!(share(text).unwrap().get(), points, "{text}");
        }
        for bad in ["", "1.0001", "0.00001", "-0.5", ".5", "95", "0,5", "1e-1", "2"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
