//! Amounts of CPU and memory, as Kubernetes writes them and as numbers that can be added up.
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::NotA;

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $amount:ident, $(#[$amount_doc:meta])* $parse:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name {
            text: String,
            amount: u64,
        }

        impl $name {
            $(#[$amount_doc])*
            #[must_use]
            pub fn $amount(&self) -> u64 {
                self.amount
            }

            /// The amount as Kubernetes reads it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.text
            }
        }

        impl FromStr for $name {
            type Err = NotA;

            fn from_str(text: &str) -> Result<Self, NotA> {
                let amount = $parse(text).ok_or_else(|| NotA::new(text, $expected))?;
                Ok(Self { text: text.to_owned(), amount })
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotA;

            fn try_from(text: String) -> Result<Self, NotA> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }
    };
}

quantity!(
    /// An amount of CPU, such as `2` or `250m`.
    Cpu,
    "an amount of CPU such as \"2\" or \"250m\"",
    millicores,
    /// In thousandths of a core.
    millicores_of
);

quantity!(
    /// An amount of memory or disk, such as `512Mi` or `1Gi`.
    Memory,
    "an amount of bytes such as \"512Mi\" or \"1Gi\"",
    bytes,
    /// In bytes.
    bytes_of
);

impl Cpu {
    pub(super) fn millis(millicores: u64) -> Self {
        Self {
            text: match millicores % 1000 {
                0 => (millicores / 1000).to_string(),
                _ => format!("{millicores}m"),
            },
            amount: millicores,
        }
    }
}

impl Memory {
    pub(super) fn mebibytes(count: u64) -> Self {
        Self {
            text: format!("{count}Mi"),
            amount: count << 20,
        }
    }

    pub(super) fn gibibytes(count: u64) -> Self {
        Self {
            text: format!("{count}Gi"),
            amount: count << 30,
        }
    }
}

fn whole(digits: &str) -> Option<u64> {
    let plain = (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    digits
        .parse()
        .ok()
        .filter(|&number: &u64| plain && number > 0)
}

fn millicores_of(text: &str) -> Option<u64> {
    match text.strip_suffix('m') {
        Some(millis) => whole(millis),
        None => whole(text)?.checked_mul(1000),
    }
}

fn bytes_of(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    whole(digits)?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_numbers_with_kubernetes_units() {
        let cpu = |text: &str| text.parse::<Cpu>().map(|cpu| cpu.millicores()).ok();
        let memory = |text: &str| text.parse::<Memory>().map(|memory| memory.bytes()).ok();
        assert_eq!(cpu("2"), Some(2000));
        assert_eq!(cpu("250m"), Some(250));
        assert_eq!(memory("512Mi"), Some(512 << 20));
        assert_eq!(memory("1Gi"), Some(1 << 30));
        assert_eq!(memory("1G"), Some(1_000_000_000));
        for bad in [
            "",
            "m",
            "0",
            "0m",
            "-1",
            "+1",
            "1.5",
            "1 ",
            "1Mi",
            "999999999999999999999",
        ] {
            assert_eq!(cpu(bad), None, "{bad:?}");
        }
        for bad in ["", "Mi", "0Gi", "1mi", "1MB", "1 Gi", "99999999999999Ti"] {
            assert_eq!(memory(bad), None, "{bad:?}");
        }
    }
}
