//! Drawing: one number for one change at one gate, which no submitter can foresee or ask for again.

use cku_base::{BasisPoints, Digest};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Apart from all else that a key might ever be used for.
const PURPOSE: &str = "cku exploration 1";

/// What is drawn for; nothing else has a part in it, so that whatever is submitted again gets the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'s> {
    pub(super) tenant: &'s str,
    /// In the text form.
    pub(super) principal: &'s str,
    /// As [`base_commit`] gives it.
    pub(super) base: &'s str,
    pub(super) gate: &'s str,
}

impl Subject<'_> {
    /// Each part after its length in bytes (64 bits, the highest first), so that no two subjects are one text.
    fn framed(&self) -> Vec<u8> {
        let mut framed = Vec::with_capacity(256);
        for part in [PURPOSE, self.tenant, self.principal, self.base, self.gate] {
            framed.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            framed.extend_from_slice(part.as_bytes());
        }
        framed
    }

    /// A name for it that gives nothing of the draw away.
    pub(super) fn digest(&self) -> Digest {
        Digest::of(&self.framed())
    }

    /// Whether the draw is yes where this share of all are; none where a key of 32 bytes is refused.
    ///
    /// HMAC (RFC 2104) with SHA-256, of which the first 64 bits are a number below 2^64, each as likely as
    /// another to whoever does not have the key. Scaled to ten-thousandths and rounded down, no share is
    /// off by more than 2^-64.
    pub(super) fn is_drawn(&self, key: &[u8; 32], rate: BasisPoints) -> Option<bool> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        mac.update(&self.framed());
        let number = mac.finalize().into_bytes().iter().take(8).fold(0u128, |n, b| (n << 8) | u128::from(*b));
        Some((number * 10_000) >> 64 < u128::from(rate.get()))
    }
}

/// The commit that a change starts from, in one form; none where it is not named in full.
///
/// An abbreviation or another spelling would be another draw for the same change.
pub(super) fn base_commit(base: &str) -> Option<String> {
    let named = matches!(base.len(), 40 | 64) && base.bytes().all(|byte| byte.is_ascii_hexdigit());
    named.then(|| base.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 32] = *b"a key for tests, of 32 bytes all";

    fn rate(points: u32) -> BasisPoints {
        BasisPoints::try_from(points).unwrap()
    }

    fn subject<'s>(base: &'s str, gate: &'s str) -> Subject<'s> {
        Subject { tenant: "acme/payments", principal: "user:dana", base, gate }
    }

    fn commit(number: u64) -> String {
        format!("{number:040x}")
    }

    /// The probability of at most `k` yeses of `n` at this share, summed up exactly.
    fn at_most(k: u32, n: u32, share: f64) -> f64 {
        let odds = (share / (1.0 - share)).ln();
        let mut term = f64::from(n) * (-share).ln_1p();
        let mut sum = term.exp();
        for i in 0..k {
            term += (f64::from(n - i) / f64::from(i + 1)).ln() + odds;
            sum += term.exp();
        }
        sum
    }

    /// Whether so many yeses are likelier than one in a thousand million, to both sides.
    fn is_likely(yes: usize, n: u32, share: f64) -> bool {
        let yes = u32::try_from(yes).unwrap();
        at_most(yes, n, share) > 5e-10 && at_most(n - yes, n, 1.0 - share) > 5e-10
    }

    fn yeses(n: u32, points: u32, gate: &str) -> usize {
        let drawn =
            |number: &u32| subject(&commit(u64::from(*number)), gate).is_drawn(&KEY, rate(points)).unwrap();
        (0..n).filter(drawn).count()
    }

    #[test]
    fn the_share_of_yes_is_the_rate() {
        for points in [1, 100, 3_000, 5_000, 9_999] {
            let (yes, share) = (yeses(20_000, points, "quality"), f64::from(points) / 10_000.0);
            assert!(is_likely(yes, 20_000, share), "{points}: {yes}");
        }
        assert!(!is_likely(5_000, 20_000, 0.3), "the bound tells");
        assert_eq!((yeses(500, 0, "quality"), yeses(500, 10_000, "quality")), (0, 500));
    }

    #[test]
    fn the_draws_of_two_gates_have_nothing_to_do_with_each_other() {
        let both = (0..20_000).filter(|number| {
            let commit = commit(*number);
            let yes = |gate| subject(&commit, gate).is_drawn(&KEY, rate(5_000)).unwrap();
            yes("quality") && yes("operations")
        });
        assert!(is_likely(both.count(), 20_000, 0.25));
    }

    #[test]
    fn a_yes_at_one_rate_is_one_at_every_greater() {
        for number in 0..500 {
            let commit = commit(number);
            let drawn = |points| subject(&commit, "quality").is_drawn(&KEY, rate(points)).unwrap();
            let drawn: Vec<bool> = (0..=20).map(|twentieth| drawn(500 * twentieth)).collect();
            assert!(drawn.is_sorted(), "{drawn:?}");
        }
    }

    #[test]
    fn the_draw_is_that_of_the_published_function() {
        // Computed apart from this code, by Python's `hmac` over parts framed with `struct.pack(">Q", …)`.
        let framed = subject(&commit(7), "quality").framed();
        assert_eq!(framed.len(), 5 * 8 + PURPOSE.len() + 13 + 9 + 40 + 7);
        assert_eq!(&framed[..9], b"\0\0\0\0\0\0\0\x11c");
        let drawn: Vec<u64> = (0..40)
            .filter(|n| subject(&commit(*n), "quality").is_drawn(&KEY, rate(3_000)).unwrap())
            .collect();
        assert_eq!(drawn, PUBLISHED);
    }

    const PUBLISHED: [u64; 14] = [1, 4, 7, 8, 9, 13, 16, 18, 22, 25, 27, 29, 31, 32];

    #[test]
    fn only_a_commit_that_is_named_in_full_is_one() {
        let sha1 = "0123456789ABCDEF0123456789abcdef01234567";
        assert_eq!(base_commit(sha1).unwrap(), sha1.to_lowercase());
        assert!(base_commit(&"ab".repeat(32)).is_some());
        for not in ["", "1f0c", "main", &sha1[..39], &format!("{sha1} "), &sha1.replace('0', "g")] {
            assert_eq!(base_commit(not), None, "{not}");
        }
    }

    proptest! {
        #[test]
        fn no_two_subjects_are_framed_alike(
            a in ["[a-c/]{0,4}", "[a-c/]{0,4}", "[a-c/]{0,4}", "[a-c/]{0,4}"],
            b in ["[a-c/]{0,4}", "[a-c/]{0,4}", "[a-c/]{0,4}", "[a-c/]{0,4}"],
        ) {
            fn framed([tenant, principal, base, gate]: &[String; 4]) -> Vec<u8> {
                Subject { tenant, principal, base, gate }.framed()
            }
            prop_assert_eq!(framed(&a) == framed(&b), a == b);
        }
    }
}
