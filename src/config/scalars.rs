//! The values of a configuration file as people write them: `15m`, `10%`, `32Mi`, `5.00`.
//!
//! Each is read without floating point into the integer unit of the journal's language, and written
//! back the way it was meant.

use std::borrow::Cow;
use std::fmt;

use journal_schema::facts::IntOrPercent;
use journal_schema::units::{Bytes, MicroUsd, MicroUsdPerHour, MilliCpu, Millis, Ppm};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A value was not written as its kind is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct BadScalar {
    text: String,
    expected: &'static str,
}

macro_rules! scalar {
    ($(#[$doc:meta])* $name:ident($inner:ty), $expected:literal, $pattern:literal, $example:literal, $parse:path, $write:path) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub $inner);

        impl std::str::FromStr for $name {
            type Err = BadScalar;
            fn from_str(text: &str) -> Result<Self, BadScalar> {
                $parse(text.trim()).map(Self).ok_or_else(|| BadScalar { text: text.to_owned(), expected: $expected })
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&$write(self.0))
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Scalar;
                impl Visitor<'_> for Scalar {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }
                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }
                    // The shortest text that gives the same number: what was written, but for needless zeros.
                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }
                }
                deserializer.deserialize_any(Scalar)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["string", "number"], "pattern": $pattern, "description": concat!("For example \"", $example, "\".") })
            }
        }
    };
}

scalar! {
    /// A span of time: `15m`, `1h30m`, `90s`, `500ms`, `2d`.
    Span(Millis), "a span of time such as 15m, 1h30m or 2d", r"^([0-9]+(d|h|m|s|ms))+$|^0$", "15m", parse_span, write_span
}
scalar! {
    /// A share with its sign: `10%`, `12.5%`.
    Percent(Ppm), "a share such as 10% (with the sign)", r"^[0-9]+([.][0-9]+)?%$", "10%", parse_percent, write_percent
}
scalar! {
    /// A factor between 0 and 1: `0.1`.
    Factor(Ppm), "a factor from 0 to 1 such as 0.1", r"^(0|1|[01][.][0-9]+)$", "0.1", parse_factor, write_factor
}
scalar! {
    /// CPU as Kubernetes writes it: `10m`, `0.5`, `2`.
    Cpu(MilliCpu), "an amount of CPU such as 10m or 0.5", r"^[0-9]+([.][0-9]+)?m?$", "10m", parse_cpu, write_plain
}
scalar! {
    /// Memory as Kubernetes writes it: `32Mi`, `1Gi`, `500M`.
    Memory(Bytes), "an amount of memory such as 32Mi or 1Gi", r"^[0-9]+([.][0-9]+)?([kMGT]|[KMGT]i)?$", "32Mi", parse_memory, write_plain
}
scalar! {
    /// US dollars per hour: `5.00`.
    Dollars(MicroUsdPerHour), "an amount of US dollars per hour such as 5.00", r"^[0-9]+([.][0-9]+)?$", "5.00", parse_dollars, write_plain
}

scalar! {
    /// US dollars: `0.50`.
    Usd(MicroUsd), "an amount of US dollars such as 0.50", r"^[0-9]+([.][0-9]+)?$", "0.50", parse_usd, write_plain
}
scalar! {
    /// A number that need not be whole, in millionths: `3`, `0.5`.
    Count(Ppm), "a number such as 3 or 0.5", r"^[0-9]+([.][0-9]+)?$", "0.5", parse_count, write_factor
}

scalar! {
    /// A time of day, in minutes from midnight: `08:00`, `24:00`.
    TimeOfDay(u16), "a time of day such as 08:00", r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$", "08:00", parse_time_of_day, write_time_of_day
}

scalar! {
    /// A number of pods, or a share of them: `1`, `25%`.
    Amount(IntOrPercent), "a number of pods or a share of them such as 1 or 25%", r"^[0-9]+%?$", "25%", parse_amount, write_amount
}

/// A decimal number times 10^6, when it has at most six decimals and no sign.
fn micros(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 6 {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let fraction: i64 = format!("{fraction:0<6}").parse().ok()?;
    whole.checked_mul(1_000_000)?.checked_add(fraction)
}

fn parse_span(text: &str) -> Option<Millis> {
    if text == "0" {
        return Some(Millis(0));
    }
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let unit = match unit {
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(Millis(total))
}

fn write_span(span: Millis) -> String {
    let mut rest = span.0;
    let mut text = String::new();
    for (unit, name) in [(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")] {
        if rest >= unit {
            text.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if text.is_empty() { "0".to_owned() } else { text }
}

fn parse_percent(text: &str) -> Option<Ppm> {
    let micro = micros(text.strip_suffix('%')?.trim_end())?;
    (micro % 100 == 0).then_some(Ppm(micro / 100))
}

fn write_percent(share: Ppm) -> String {
    format!("{}%", decimal(share.0 * 100))
}

fn parse_factor(text: &str) -> Option<Ppm> {
    micros(text).filter(|micro| *micro <= 1_000_000).map(Ppm)
}

fn write_factor(share: Ppm) -> String {
    decimal(share.0)
}

/// Micros as a decimal number without needless zeros.
fn decimal(micro: i64) -> String {
    let text = format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn parse_cpu(text: &str) -> Option<MilliCpu> {
    if let Some(milli) = text.strip_suffix('m') {
        return milli.parse().ok().filter(|milli| *milli >= 0).map(MilliCpu);
    }
    let micro = micros(text)?;
    (micro % 1000 == 0).then_some(MilliCpu(micro / 1000))
}

fn parse_memory(text: &str) -> Option<Bytes> {
    let suffix = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let unit: i128 = match suffix {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    let micro = i128::from(micros(&text[..text.len() - suffix.len()])?);
    i64::try_from((micro * unit + 999_999) / 1_000_000).ok().map(Bytes)
}

fn parse_dollars(text: &str) -> Option<MicroUsdPerHour> {
    micros(text).map(MicroUsdPerHour)
}

fn parse_time_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60 && hour * 60 + minute <= 24 * 60).then_some(hour * 60 + minute)
}

fn write_time_of_day(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn parse_usd(text: &str) -> Option<MicroUsd> {
    micros(text).map(MicroUsd)
}

fn parse_count(text: &str) -> Option<Ppm> {
    micros(text).map(Ppm)
}

fn parse_amount(text: &str) -> Option<IntOrPercent> {
    let number = |digits: &str| digits.parse().ok().filter(|number: &i32| *number >= 0);
    match text.strip_suffix('%') {
        Some(digits) => number(digits).filter(|percent| *percent <= 100).map(IntOrPercent::Percent),
        None => number(text).map(IntOrPercent::Int),
    }
}

fn write_amount(amount: IntOrPercent) -> String {
    match amount {
        IntOrPercent::Int(number) => number.to_string(),
        IntOrPercent::Percent(percent) => format!("{percent}%"),
    }
}

fn write_plain(value: impl fmt::Display) -> String {
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written_back() {
        for (text, millis) in
            [("15m", 900_000), ("1h30m", 5_400_000), ("90s", 90_000), ("500ms", 500), ("2d", 172_800_000), ("0", 0)]
        {
            let span: Span = text.parse().expect(text);
            assert_eq!(span.0, Millis(millis), "{text}");
            assert_eq!(span.to_string().parse::<Span>(), Ok(span), "{text}");
        }
        for text in ["", "15", "m", "-1m", "1x", "1h 30m", "1.5h", "99999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_has_its_sign() {
        assert_eq!("10%".parse::<Percent>().map(|p| p.0), Ok(Ppm::percent(10)));
        assert_eq!("12.5%".parse::<Percent>().map(|p| p.0), Ok(Ppm(125_000)));
        assert_eq!(Percent(Ppm(125_000)).to_string(), "12.5%");
        for text in ["10", "0.1", "%", "-1%", "1.23456%"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_read_as_kubernetes_reads_them() {
        for (text, milli) in [("10m", 10), ("0.5", 500), ("2", 2000)] {
            assert_eq!(text.parse::<Cpu>().map(|c| c.0), Ok(MilliCpu(milli)), "{text}");
        }
        for (text, bytes) in [("32Mi", 32 << 20), ("1.5Gi", 3 << 29), ("500M", 500_000_000), ("7", 7)] {
            assert_eq!(text.parse::<Memory>().map(|m| m.0), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "Mi", "1GiB", "-1Mi", "1..2Gi", "1e3Ki"] {
            assert!(text.parse::<Memory>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_of_day_is_on_a_clock() {
        for (text, minutes) in [("00:00", 0), ("08:30", 510), ("23:59", 1439), ("24:00", 1440)] {
            let time: TimeOfDay = text.parse().expect(text);
            assert_eq!((time.0, time.to_string()), (minutes, text.to_owned()));
        }
        for text in ["8:00", "08:60", "24:01", "25:00", "0800", "-1:00", "08:00:00", ""] {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
        }
    }

    #[test]
    fn money_is_exact() {
        assert_eq!("5.00".parse::<Dollars>().map(|d| d.0), Ok(MicroUsdPerHour(5_000_000)));
        assert_eq!("0.134023".parse::<Dollars>().map(|d| d.0), Ok(MicroUsdPerHour(134_023)));
        assert!("$5".parse::<Dollars>().is_err());
        assert!("0.1340231".parse::<Dollars>().is_err());
        assert_eq!("0.5".parse::<Usd>().map(|d| d.0), Ok(MicroUsd(500_000)));
        assert_eq!("2.5".parse::<Count>().map(|c| (c.0, c.to_string())), Ok((Ppm(2_500_000), "2.5".to_owned())));
    }
}
