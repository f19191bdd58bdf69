//! Damaged real reports: never a panic, always evidence that agrees with itself or a place.

use cku_gates::evidence::{self, Evidence, Format, Limits};
use proptest::{prelude::*, sample::Index};

use crate::real::{self, REPORTS};

/// What happens to the bytes of a report.
#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Truncate(Index),
    Cut(Index, usize),
    Repeat(Index, usize),
    Splice(Index, usize, Index, usize),
    Insert(Index, &'static str),
}

fn damage() -> impl Strategy<Value = Damage> {
    const TOKENS: [&str; 16] = [
        "<",
        ">",
        "&",
        "&x;",
        "<!DOCTYPE a [",
        "\"",
        "{",
        "[",
        "}",
        "-1",
        "99999999999999999999",
        "\0",
        "\u{feff}",
        "end_of_record\n",
        "\t",
        "</",
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Flip(at, byte)),
        any::<Index>().prop_map(Damage::Truncate),
        (any::<Index>(), 1usize..200).prop_map(|(at, length)| Damage::Cut(at, length)),
        (any::<Index>(), 1usize..200).prop_map(|(at, length)| Damage::Repeat(at, length)),
        (any::<Index>(), 0..REPORTS.len(), any::<Index>(), 1usize..500)
            .prop_map(|(at, other, from, length)| Damage::Splice(at, other, from, length)),
        (any::<Index>(), prop::sample::select(TOKENS.to_vec()))
            .prop_map(|(at, token)| Damage::Insert(at, token)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    let end = |at: usize, length: usize, of: usize| (at + length).min(of);
    match damage {
        Damage::Flip(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] ^= byte;
        }
        Damage::Truncate(at) => bytes.truncate(at.index(bytes.len())),
        Damage::Cut(at, length) => {
            let at = at.index(bytes.len());
            bytes.drain(at..end(at, *length, bytes.len()));
        }
        Damage::Repeat(at, length) => {
            let at = at.index(bytes.len());
            let again = bytes[at..end(at, *length, bytes.len())].to_vec();
            bytes.splice(at..at, again);
        }
        Damage::Splice(at, other, from, length) => {
            let other = real::bytes(REPORTS[*other].0);
            let (at, from) = (at.index(bytes.len()), from.index(other.len()));
            bytes.splice(at..at, other[from..end(from, *length, other.len())].to_vec());
        }
        Damage::Insert(at, token) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, token.bytes());
        }
    }
}

/// Evidence agrees with itself and survives JSON; a refusal has a place in this file.
fn holds(format: Format, name: &str, bytes: &[u8]) -> Result<(), TestCaseError> {
    match evidence::parse(format, name, bytes, &Limits::default()) {
        Ok(read) => {
            prop_assert!(!read.is_empty());
            for evidence in read {
                prop_assert_eq!(evidence.check(), Ok(()));
                let text = serde_json::to_string(&evidence).unwrap();
                let again: Evidence = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(evidence, again);
            }
        }
        Err(error) => {
            let place = error.place().expect("a place");
            prop_assert_eq!(&place.file, name);
            prop_assert!(!error.diagnostic().message.is_empty());
            prop_assert!(place.line >= 1 || error.fault() == evidence::Fault::TooLarge, "{}", error);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_reports_are_read_or_refused(
        report in 0..REPORTS.len(),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let (name, format) = REPORTS[report];
        let mut bytes = real::bytes(name);
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        holds(format, name, &bytes)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), format in 0..5usize) {
        holds(Format::ALL[format], "any", &bytes)?;
        evidence::detect("any", &bytes);
    }

    #[test]
    fn a_cut_off_report_is_refused(report in 0..REPORTS.len(), at in any::<Index>()) {
        let (name, format) = REPORTS[report];
        let bytes = real::bytes(name);
        let kept = &bytes[..at.index(bytes.len())];
        // A tracefile and a numstat file that end between two records are whole, only shorter; so
        // is a text that only lost blanks at its end. (This is why digests and totals matter.)
        let whole = match format {
            Format::Lcov => kept.trim_ascii_end().ends_with(b"end_of_record"),
            Format::Numstat => kept.last().is_none_or(|b| *b == 0),
            _ => kept.trim_ascii_end().len() == bytes.trim_ascii_end().len(),
        };
        if !whole {
            prop_assert!(evidence::parse(format, name, kept, &Limits::default()).is_err());
        }
    }
}

#[test]
fn a_report_read_as_another_format_is_refused() {
    for (name, format) in REPORTS {
        for other in Format::ALL.into_iter().filter(|other| *other != format) {
            assert!(
                evidence::parse(other, name, &real::bytes(name), &Limits::default()).is_err(),
                "{name} as {other}"
            );
        }
    }
}
