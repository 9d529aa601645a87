//! Decimal numbers read exactly into millionths.

/// Why a text is not a number that is accepted here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotDecimal {
    Empty,
    Negative,
    Malformed,
    TooLarge,
}

/// Reads a plain decimal number (`12`, `0.134023`, `.5`) into millionths, rounded half up at the
/// seventh digit. No sign but `+`, no exponent, no `NaN`, no thousands separator.
pub(crate) fn millionths(text: &str, most: i64) -> Result<i64, NotDecimal> {
    let text = text.trim();
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() {
        return Err(NotDecimal::Empty);
    }
    if let Some(rest) = digits.strip_prefix('-') {
        return Err(if rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            NotDecimal::Negative
        } else {
            NotDecimal::Malformed
        });
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !numeric(whole) || !numeric(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(NotDecimal::Malformed);
    }
    let mut value: i64 = 0;
    for byte in whole.bytes() {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(i64::from(byte - b'0')))
            .ok_or(NotDecimal::TooLarge)?;
    }
    let mut millionths = value.checked_mul(1_000_000).ok_or(NotDecimal::TooLarge)?;
    let mut weight = 100_000;
    for byte in fraction.bytes().take(6) {
        millionths += i64::from(byte - b'0') * weight;
        weight /= 10;
    }
    if fraction.as_bytes().get(6).is_some_and(|digit| *digit >= b'5') {
        millionths += 1;
    }
    if millionths > most { Err(NotDecimal::TooLarge) } else { Ok(millionths) }
}

/// Writes millionths as a decimal number without trailing zeros.
pub(crate) fn written(millionths: i64) -> String {
    let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_and_nonsense_is_refused() {
        let read = |text| millionths(text, 1_000_000_000_000);
        assert_eq!(read("0.134023"), Ok(134_023));
        assert_eq!(read(" 12 "), Ok(12_000_000));
        assert_eq!(read(".5"), Ok(500_000));
        assert_eq!(read("5."), Ok(5_000_000));
        assert_eq!(read("0.1234565"), Ok(123_457));
        assert_eq!(read("0.1234564999"), Ok(123_456));
        for bad in ["NaN", "inf", "1e3", "1,5", "0x1", "--1", "-", ".", "1.2.3", "1 2"] {
            assert_eq!(read(bad), Err(NotDecimal::Malformed), "{bad}");
        }
        assert_eq!(read(""), Err(NotDecimal::Empty));
        assert_eq!(read("-0.1"), Err(NotDecimal::Negative));
        assert_eq!(read("1000000.000001"), Err(NotDecimal::TooLarge));
        assert_eq!(read("99999999999999999999999"), Err(NotDecimal::TooLarge));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for value in [0, 1, 134_023, 14_400_000, 56_626_560] {
            assert_eq!(millionths(&written(value), i64::MAX), Ok(value));
        }
    }
}
