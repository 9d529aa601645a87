//! Money for people: rounded, with its unit and its period.
//!
//! Programs get the exact decimal (`MicroUsdPerHour`'s own text).

use journal_schema::units::{MicroUsd, MicroUsdPerHour};

/// Hours of a month, as price lists count them.
pub const HOURS_PER_MONTH: i64 = 730;

/// What an hourly price comes to in a month.
pub fn per_month(price: MicroUsdPerHour) -> MicroUsd {
    MicroUsd(price.0 * HOURS_PER_MONTH)
}

/// `$0.8040/h`
pub fn hourly(price: MicroUsdPerHour) -> String {
    format!("{}/h", dollars(price.0, 4))
}

/// `+$0.8040/h`
pub fn hourly_signed(price: MicroUsdPerHour) -> String {
    format!("{}{}", if price.0 > 0 { "+" } else { "" }, hourly(price))
}

/// `$586.92/mo`
pub fn monthly(price: MicroUsdPerHour) -> String {
    format!("{}/mo", dollars(per_month(price).0, 2))
}

/// `$0.12`
pub fn amount(amount: MicroUsd) -> String {
    dollars(amount.0, 2)
}

/// Dollars with `digits` decimals, rounded to the nearest (halves away from zero), thousands grouped.
fn dollars(micro: i64, digits: u32) -> String {
    let unit = 10_u64.pow(6 - digits);
    let rounded = (micro.unsigned_abs() + unit / 2) / unit;
    let scale = 10_u64.pow(digits);
    let (whole, fraction) = (rounded / scale, rounded % scale);
    let sign = if micro < 0 && rounded > 0 { "-" } else { "" };
    let width = digits as usize;
    format!("{sign}${}.{fraction:0width$}", grouped(whole))
}

/// `1,173`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_rounded_and_has_its_period() {
        assert_eq!(hourly(MicroUsdPerHour(134_023)), "$0.1340/h");
        assert_eq!(hourly_signed(MicroUsdPerHour(-1_340_230)), "-$1.3402/h");
        assert_eq!(hourly_signed(MicroUsdPerHour(804_000)), "+$0.8040/h");
        assert_eq!(monthly(MicroUsdPerHour(1_608_000)), "$1,173.84/mo");
        assert_eq!(amount(MicroUsd(-4)), "$0.00");
        assert_eq!(amount(MicroUsd(1_234_567_890_000)), "$1,234,567.89");
    }
}
