//! Kubernetes quantities, exactly.
//!
//! Parsed as `resource.ParseQuantity` of apimachinery does: a decimal number with a binary suffix,
//! a decimal suffix or a decimal exponent. Kept as an integer of billionths, which is the finest
//! step that Kubernetes keeps. Crates that go through `f64`, or that read whole numbers only, turn
//! "0.5Gi" into nothing and "9007199254740993" into its neighbour.

use std::fmt;
use std::str::FromStr;

use journal_schema::units::{Bytes, MilliCpu};

/// Billionths in one unit.
const NANO: i128 = 1_000_000_000;
/// Largest magnitude that Kubernetes keeps, in billionths; larger values are capped to it.
const CAP: i128 = (i64::MAX as i128) * NANO;

/// An amount of a resource, in billionths of its unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    nanos: i128,
}

/// The text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a quantity: {fault}; expected a number with an optional suffix \
     (n u m k M G T P E, Ki Mi Gi Ti Pi Ei) or exponent, for example 500m, 2Gi or 1e3"
)]
pub struct QuantityError {
    /// The text, cut to 64 characters.
    pub text: String,
    /// What is wrong with it.
    pub fault: QuantityFault,
}

/// What is wrong with a text that should be a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityFault {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// No digit where the number should be.
    #[error("it has no digits")]
    NoDigits,
    /// What follows the number is neither a suffix nor an exponent.
    #[error("its suffix is not known")]
    Suffix,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0 };

    /// Thousandths, rounded away from zero, as Kubernetes' `MilliValue` does; capped to what fits.
    pub fn milli(self) -> i64 {
        self.rounded(NANO / 1000)
    }

    /// Whole units, rounded away from zero, as Kubernetes' `Value` does; capped to what fits.
    pub fn value(self) -> i64 {
        self.rounded(NANO)
    }

    /// As CPU.
    pub fn milli_cpu(self) -> MilliCpu {
        MilliCpu(self.milli())
    }

    /// As memory or storage.
    pub fn bytes(self) -> Bytes {
        Bytes(self.value())
    }

    /// Below zero, which no request may be.
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    fn rounded(self, step: i128) -> i64 {
        let whole = self.nanos / step;
        let up = i128::from(self.nanos % step != 0) * self.nanos.signum();
        i64::try_from(whole + up).unwrap_or(if self.nanos < 0 { i64::MIN } else { i64::MAX })
    }
}

/// The exact sum; Kubernetes adds before it rounds. Capped like a parsed quantity.
impl std::ops::Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { nanos: (self.nanos + other.nanos).clamp(-CAP, CAP) }
    }
}

/// Decimal, in billionths where they matter; for messages.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.nanos < 0 { "-" } else { "" };
        let magnitude = self.nanos.unsigned_abs();
        let (whole, rest) = (magnitude / NANO.unsigned_abs(), magnitude % NANO.unsigned_abs());
        if rest == 0 {
            return f.pad(&format!("{sign}{whole}"));
        }
        let digits = format!("{rest:09}");
        f.pad(&format!("{sign}{whole}.{}", digits.trim_end_matches('0')))
    }
}

/// What the suffix multiplies the number by: 2 to the first power times 10 to the second.
fn scale(suffix: &str) -> Option<(u32, i64)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            // An exponent of five digits or more is capped, or rounded up, all the same.
            let digits = digits.trim_start_matches('0');
            let magnitude = if digits.len() > 4 { 99_999 } else { digits.parse().unwrap_or(0) };
            (0, if exponent.starts_with('-') { -magnitude } else { magnitude })
        }
    })
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse(text).map_err(|fault| QuantityError { text: text.chars().take(64).collect(), fault })
    }
}

fn parse(text: &str) -> Result<Quantity, QuantityFault> {
    if text.is_empty() {
        return Err(QuantityFault::Empty);
    }
    let (negative, unsigned) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let number_end = unsigned.bytes().position(|b| !b.is_ascii_digit() && b != b'.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(QuantityFault::NoDigits);
    }
    if fraction.contains('.') {
        return Err(QuantityFault::Suffix);
    }
    let (twos, tens) = scale(suffix).ok_or(QuantityFault::Suffix)?;

    let digits: Vec<i128> =
        whole.bytes().chain(fraction.bytes()).map(|b| i128::from(b - b'0')).skip_while(|digit| *digit == 0).collect();
    if digits.is_empty() {
        return Ok(Quantity::ZERO);
    }
    // In billionths the value is 0.d1d2d3… times 2^twos times 10^point.
    let fraction_len = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let digit_len = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let point = digit_len.saturating_sub(fraction_len).saturating_add(tens).saturating_add(9);
    let magnitude = if point > 29 {
        CAP
    } else if point < -19 {
        1
    } else {
        shifted(&digits, twos, point)
    };
    Ok(Quantity { nanos: if negative { -magnitude.min(CAP) } else { magnitude.min(CAP) } })
}

/// `0.d1d2d3… × 2^twos × 10^point`, rounded up, for `-19 <= point <= 29`; capped to [`CAP`].
fn shifted(digits: &[i128], twos: u32, point: i64) -> i128 {
    // Digit by digit, the whole part is kept in one integer and the rest as decimal digits, so that
    // any number of digits is exact.
    let mut rest: Vec<i128> = Vec::with_capacity(digits.len() + 20);
    rest.extend(std::iter::repeat_n(0, usize::try_from(-point).unwrap_or(0)));
    let taken = usize::try_from(point).unwrap_or(0);
    let mut whole: i128 = 0;
    for place in 0..taken {
        whole = whole * 10 + digits.get(place).copied().unwrap_or(0);
    }
    rest.extend(digits.iter().skip(taken));
    for _ in 0..twos {
        let mut carry = 0;
        for digit in rest.iter_mut().rev() {
            let doubled = *digit * 2 + carry;
            *digit = doubled % 10;
            carry = doubled / 10;
        }
        whole = (whole * 2 + carry).min(CAP);
    }
    let up = i128::from(rest.iter().any(|digit| *digit != 0));
    (whole + up).min(CAP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().expect(text)
    }

    #[test]
    fn the_forms_that_the_published_original_misread() {
        assert_eq!(quantity("2").milli_cpu(), MilliCpu(2000));
        assert_eq!(quantity("0.5").milli_cpu(), MilliCpu(500));
        assert_eq!(quantity("500m").milli_cpu(), MilliCpu(500));
        assert_eq!(quantity("2Gi").bytes(), Bytes(2 << 30));
        assert_eq!(quantity("1e3").bytes(), Bytes(1000));
        assert_eq!(quantity("128974848000m").bytes(), Bytes(128_974_848));
    }

    /// The table of apimachinery's TestQuantityParse and TestQuantityParseZero, re-derived: text, value in billionths.
    #[test]
    fn the_forms_of_apimachinery() {
        let cases: &[(&str, i128)] = &[
            ("0", 0),
            ("0n", 0),
            ("0u", 0),
            ("0m", 0),
            ("0Ki", 0),
            ("0k", 0),
            ("0e7", 0),
            ("0.0", 0),
            ("00", 0),
            ("-0", 0),
            ("1n", 1),
            ("1u", 1_000),
            ("1m", 1_000_000),
            ("1", NANO),
            ("1k", 1_000 * NANO),
            ("1M", 1_000_000 * NANO),
            ("1G", NANO * NANO),
            ("1T", 1_000 * NANO * NANO),
            ("1P", 1_000_000 * NANO * NANO),
            ("1E", NANO * NANO * NANO),
            ("1Ki", 1024 * NANO),
            ("8Mi", (8 << 20) * NANO),
            ("7Gi", (7 << 30) * NANO),
            ("98Ti", (98 << 40) * NANO),
            ("89Pi", (89 << 50) * NANO),
            ("2Ei", (2 << 60) * NANO),
            ("10.035m", 10_035_000),
            ("5.035", 5_035_000_000),
            ("1e-3", 1_000_000),
            ("1.4e3", 1400 * NANO),
            ("4.33e-3", 4_330_000),
            ("1E-3", 1_000_000),
            ("100e1", 1000 * NANO),
            ("1e+3", 1000 * NANO),
            ("+5", 5 * NANO),
            ("-5", -5 * NANO),
            ("-.25Ki", -256 * NANO),
            ("0.001Gi", 1_073_741_824_000_000),
            (".001", 1_000_000),
            ("1.", NANO),
            ("1.e1", 10 * NANO),
            // Finer than a billionth is rounded away from zero.
            ("0.1n", 1),
            ("-0.1n", -1),
            ("1.1n", 2),
            ("0.0000000001Ki", 103),
            ("1e-30", 1),
            ("1e-99999999999999", 1),
            ("0.0009765625n", 1),
            // Beyond 2^63-1 is capped.
            ("9Ei", CAP),
            ("9223372036854775807Ki", CAP),
            ("1e30", CAP),
            ("-12E", -CAP),
            ("1e99999999999999", CAP),
            ("16Ei", CAP),
            ("9223372036854775807", CAP),
            ("9223372036854775806", CAP - NANO),
            ("9007199254740993", 9_007_199_254_740_993 * NANO),
        ];
        for (text, nanos) in cases {
            assert_eq!(quantity(text), Quantity { nanos: *nanos }, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_what_was_expected() {
        let cases = [
            ("", QuantityFault::Empty),
            ("Mi", QuantityFault::NoDigits),
            (".", QuantityFault::NoDigits),
            ("+", QuantityFault::NoDigits),
            ("m", QuantityFault::NoDigits),
            ("e3", QuantityFault::NoDigits),
            ("abc", QuantityFault::NoDigits),
            (" 1", QuantityFault::NoDigits),
            ("--1", QuantityFault::NoDigits),
            ("1 ", QuantityFault::Suffix),
            ("1.1.1", QuantityFault::Suffix),
            ("12 GB", QuantityFault::Suffix),
            ("1GB", QuantityFault::Suffix),
            ("1K", QuantityFault::Suffix),
            ("1ki", QuantityFault::Suffix),
            ("1mi", QuantityFault::Suffix),
            ("1e", QuantityFault::Suffix),
            ("1e+", QuantityFault::Suffix),
            ("1e3.5", QuantityFault::Suffix),
            ("1e3Mi", QuantityFault::Suffix),
            ("0x10", QuantityFault::Suffix),
            ("1i", QuantityFault::Suffix),
            ("1,5", QuantityFault::Suffix),
            ("１", QuantityFault::NoDigits),
            ("1µ", QuantityFault::Suffix),
            ("NaN", QuantityFault::NoDigits),
            ("inf", QuantityFault::NoDigits),
        ];
        for (text, fault) in cases {
            let error = text.parse::<Quantity>().expect_err(text);
            assert_eq!(error.fault, fault, "{text}");
        }
        assert_eq!(
            "12 GB".parse::<Quantity>().expect_err("nonsense").to_string(),
            "\"12 GB\" is not a quantity: its suffix is not known; expected a number with an optional suffix \
             (n u m k M G T P E, Ki Mi Gi Ti Pi Ei) or exponent, for example 500m, 2Gi or 1e3"
        );
    }

    #[test]
    fn rounding_is_away_from_zero() {
        assert_eq!(quantity("1n").milli(), 1);
        assert_eq!(quantity("1n").value(), 1);
        assert_eq!(quantity("0.0005").milli(), 1);
        assert_eq!(quantity("1500m").value(), 2);
        assert_eq!(quantity("-1500m").value(), -2);
        assert_eq!(quantity("8Ei").milli(), i64::MAX);
        assert_eq!((quantity("0.4m") + quantity("0.4m")).milli(), 1, "sums are exact before they are rounded");
    }

    proptest! {
        #[test]
        fn whole_numbers_are_exact(number in any::<i64>()) {
            // Kubernetes caps at 2^63-1 on both sides.
            prop_assert_eq!(quantity(&number.to_string()).value(), number.max(-i64::MAX));
        }

        #[test]
        fn binary_suffixes_are_shifts(number in 0i64..1 << 20, power in 0usize..5) {
            let suffix = ["", "Ki", "Mi", "Gi", "Ti"][power];
            prop_assert_eq!(quantity(&format!("{number}{suffix}")).value(), number << (10 * power));
        }

        #[test]
        fn a_suffix_and_its_exponent_agree(number in 0u64..1 << 40, fraction in 0u32..1_000_000, form in 0usize..9) {
            let (suffix, exponent) = [("n", -9), ("u", -6), ("m", -3), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)][form];
            let text = format!("{number}.{fraction:06}");
            prop_assert_eq!(quantity(&format!("{text}{suffix}")), quantity(&format!("{text}e{exponent}")));
            prop_assert_eq!(quantity(&format!("{text}{suffix}")), quantity(&format!("{text}E{exponent:+}")));
        }

        #[test]
        fn what_is_written_is_read_again(nanos in -CAP..CAP) {
            let written = Quantity { nanos };
            prop_assert_eq!(quantity(&written.to_string()), written);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+]?[0-9.]{0,60}[a-zA-Z0-9+-]{0,4}") {
            let _ = text.parse::<Quantity>();
        }
    }
}
