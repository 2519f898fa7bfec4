//! Amounts of CPU, memory and storage.
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use serde_json::Value;

/// An amount in thousandths, and how it is written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quantity {
    milli: i128,
    binary: bool,
}

const BINARY: [(&str, i128); 6] = [
    ("Ei", 1 << 60),
    ("Pi", 1 << 50),
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
];

const DECIMAL: [(&str, i128); 7] = [
    ("E", 1_000_000_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("G", 1_000_000_000_000),
    ("M", 1_000_000_000),
    ("k", 1_000_000),
    ("m", 1),
];

impl Quantity {
    pub(super) fn count(number: usize) -> Self {
        Self {
            milli: i128::try_from(number).unwrap_or(i128::MAX / 1000) * 1000,
            binary: false,
        }
    }

    pub(super) fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let suffixes = BINARY
            .iter()
            .map(|(suffix, unit)| (*suffix, unit * 1000, true));
        let decimal = DECIMAL.iter().map(|(suffix, unit)| (*suffix, *unit, false));
        let mut suffixes = suffixes.chain(decimal);
        let (number, unit, binary) = suffixes
            .find_map(|(suffix, unit, binary)| Some((text.strip_suffix(suffix)?, unit, binary)))
            .unwrap_or((text, 1000, false));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.len() > 9 {
            return None;
        }
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let scaled = digits.checked_mul(unit)?;
        // Rounded up, as the API server does with what is finer than it keeps.
        let milli = scaled.div_euclid(scale) + i128::from(scaled.rem_euclid(scale) != 0);
        Some(Self { milli, binary })
    }

    pub(super) fn max(self, other: Self) -> Self {
        if other > self { other } else { self }
    }

    pub(super) fn saturating_sub(self, other: Self) -> Self {
        Self {
            milli: (self.milli - other.milli).max(0),
            binary: self.binary || other.binary,
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.milli == other.milli
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.milli.partial_cmp(&other.milli)
    }
}

impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            milli: self.milli + other.milli,
            binary: self.binary || other.binary,
        }
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

/// The canonical form: the largest unit that leaves no fraction.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.milli == 0 {
            return f.write_str("0");
        }
        if self.binary && self.milli % 1000 == 0 {
            let whole = self.milli / 1000;
            let unit = BINARY.iter().find(|(_, unit)| whole % unit == 0);
            return match unit {
                Some((suffix, unit)) => write!(f, "{}{suffix}", whole / unit),
                None => write!(f, "{whole}"),
            };
        }
        if self.milli % 1000 != 0 {
            return write!(f, "{}m", self.milli);
        }
        let larger = DECIMAL
            .iter()
            .find(|(suffix, unit)| *suffix != "m" && self.milli % unit == 0);
        match larger {
            Some((suffix, unit)) => write!(f, "{}{suffix}", self.milli / unit),
            None => write!(f, "{}", self.milli / 1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_canonically() {
        for (written, canonical) in [
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1024Mi", "1Gi"),
            ("1536Mi", "1536Mi"),
            ("2000", "2k"),
            ("1.5Gi", "1536Mi"),
            ("0", "0"),
        ] {
            let read = Quantity::parse(written).map(|quantity| quantity.to_string());
            assert_eq!(read.as_deref(), Some(canonical), "{written}");
        }
        assert!(Quantity::parse("much").is_none());
    }
}
