//! Amounts as any Kubernetes manifest may write them.
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a ResourceQuota of ours can limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// CPU that is reserved.
    RequestsCpu,
    /// Memory that is reserved.
    RequestsMemory,
    /// CPU that cannot be exceeded.
    LimitsCpu,
    /// Memory that cannot be exceeded.
    LimitsMemory,
    /// PersistentVolumeClaims.
    Volumes,
    /// The storage that they ask for.
    Storage,
}

impl Resource {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::RequestsCpu,
        Self::RequestsMemory,
        Self::LimitsCpu,
        Self::LimitsMemory,
        Self::Volumes,
        Self::Storage,
    ];

    /// The name by which a ResourceQuota limits it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestsCpu => "requests.cpu",
            Self::RequestsMemory => "requests.memory",
            Self::LimitsCpu => "limits.cpu",
            Self::LimitsMemory => "limits.memory",
            Self::Volumes => "persistentvolumeclaims",
            Self::Storage => "requests.storage",
        }
    }

    /// The resource that a ResourceQuota calls `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|resource| resource.as_str() == name)
    }

    /// `amount` of it, in Kubernetes' canonical form: the largest unit that leaves no fraction.
    #[must_use]
    pub fn show(self, amount: Amount) -> String {
        match self {
            Self::RequestsCpu | Self::LimitsCpu | Self::Volumes => amount.decimal(),
            Self::RequestsMemory | Self::LimitsMemory | Self::Storage => amount.binary(),
        }
    }

    /// `amount` of it for people, in its largest unit and rounded up to tenths of that: `0.8`, `1.2Gi`.
    #[must_use]
    pub fn rounded(self, amount: Amount) -> String {
        let (unit, milli) = match self {
            Self::RequestsCpu | Self::LimitsCpu | Self::Volumes => ("", 1000),
            Self::RequestsMemory | Self::LimitsMemory | Self::Storage => {
                let fits = |(_, unit): &&(&str, u128)| amount.milli >= *unit * 1000;
                let unit = BINARY.iter().find(fits).copied();
                unit.map_or(("", 1000), |(suffix, unit)| (suffix, unit * 1000))
            }
        };
        let tenths = (amount.milli.saturating_mul(10)).div_ceil(milli);
        match tenths % 10 {
            0 => format!("{}{unit}", tenths / 10),
            tenth => format!("{}.{tenth}{unit}", tenths / 10),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An amount, in thousandths: the finest that the API server keeps. What is finer it rounds up, and so does this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount {
    milli: u128,
}

const BINARY: [(&str, u128); 6] = [
    ("Ei", 1 << 60),
    ("Pi", 1 << 50),
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
];

/// Suffixes that stand for a power of ten.
const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

impl Amount {
    /// `number` whole ones.
    #[must_use]
    pub fn count(number: u32) -> Self {
        Self {
            milli: u128::from(number) * 1000,
        }
    }

    /// The amount that a manifest writes as text or as a number; none where that is no amount, or less than nothing.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('+').unwrap_or(text);
        let number = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let (number, suffix) = (&text[..text.len() - number.len()], number);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        // More digits than any amount of this world has would only overflow.
        if fraction.contains('.') || digits.is_empty() || digits.len() > 20 {
            return None;
        }
        let (factor, exponent) = unit(suffix)?;
        let fraction = i32::try_from(fraction.len()).ok()?;
        let scaled = digits.parse::<u128>().ok()?.checked_mul(factor)?;
        shifted(scaled, exponent - fraction + 3).map(|milli| Self { milli })
    }

    /// The amount `times` over.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self {
            milli: self.milli.saturating_mul(u128::from(times)),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            milli: self.milli.saturating_add(other.milli),
        }
    }

    /// Rounded up to a whole one: storage is counted in bytes.
    pub(super) fn whole(self) -> Self {
        Self {
            milli: self.milli.div_ceil(1000).saturating_mul(1000),
        }
    }

    fn decimal(self) -> String {
        match self.milli % 1000 {
            0 => (self.milli / 1000).to_string(),
            _ => format!("{}m", self.milli),
        }
    }

    fn binary(self) -> String {
        let whole = self.milli / 1000;
        if !self.milli.is_multiple_of(1000) || whole == 0 {
            return self.decimal();
        }
        let unit = BINARY.iter().find(|(_, unit)| whole.is_multiple_of(*unit));
        unit.map_or_else(
            || whole.to_string(),
            |(suffix, unit)| format!("{}{suffix}", whole / unit),
        )
    }
}

/// The suffix as a factor and a power of ten.
fn unit(suffix: &str) -> Option<(u128, i32)> {
    if let Some((_, factor)) = BINARY.iter().find(|(known, _)| *known == suffix) {
        return Some((*factor, 0));
    }
    if let Some((_, exponent)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Some((1, *exponent));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let plain = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_number = !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_digit());
    is_number
        .then(|| exponent.parse().ok())?
        .filter(|exponent: &i32| exponent.abs() <= 30)
        .map(|exponent| (1, exponent))
}

/// `number` times ten to the power of `exponent`, rounded up.
fn shifted(number: u128, exponent: i32) -> Option<u128> {
    let Some(power) = 10_u128.checked_pow(exponent.unsigned_abs()) else {
        // Too small to be told from the least that there is.
        return (exponent < 0).then_some(u128::from(number > 0));
    };
    if exponent < 0 {
        Some(number.div_ceil(power))
    } else {
        number.checked_mul(power)
    }
}

/// Amounts of everything that a quota of ours can limit; what is not named is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage(BTreeMap<Resource, Amount>);

impl Usage {
    /// Nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What of these names and amounts a quota of ours can limit; the rest is somebody else's matter.
    #[must_use]
    pub fn known<'a>(written: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let read = written
            .into_iter()
            .filter_map(|(name, amount)| Resource::named(name).zip(Amount::parse(amount)));
        Self(read.collect())
    }

    /// The amount of `resource`.
    #[must_use]
    pub fn of(&self, resource: Resource) -> Amount {
        self.0.get(&resource).copied().unwrap_or_default()
    }

    /// What of it is named, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Resource, Amount)> {
        self.0.iter().map(|(resource, amount)| (*resource, *amount))
    }

    /// The same, with `amount` of `resource`.
    #[must_use]
    pub fn with(mut self, resource: Resource, amount: Amount) -> Self {
        self.0.insert(resource, amount);
        self
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.each(other, Amount::plus)
    }

    /// Of each resource the larger amount.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        self.each(other, Amount::max)
    }

    /// All of it `times` over.
    #[must_use]
    pub fn times(&self, times: u32) -> Self {
        let all = self.iter();
        Self(
            all.map(|(resource, amount)| (resource, amount.times(times)))
                .collect(),
        )
    }

    /// What of it is more than `hard` allows; what `hard` does not name is not limited.
    pub fn beyond(&self, hard: &Self) -> impl Iterator<Item = Resource> {
        let limits = hard.iter().collect::<Vec<_>>().into_iter();
        limits
            .filter(|(resource, limit)| self.of(*resource) > *limit)
            .map(|(resource, _)| resource)
    }

    /// Whether it is within `hard`.
    #[must_use]
    pub fn fits(&self, hard: &Self) -> bool {
        self.beyond(hard).next().is_none()
    }

    fn each(&self, other: &Self, of_both: impl Fn(Amount, Amount) -> Amount) -> Self {
        let mut all = self.0.clone();
        for (resource, amount) in other.iter() {
            let place = all.entry(resource).or_default();
            *place = of_both(*place, amount);
        }
        Self(all)
    }
}

impl std::iter::Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::none(), |sum, one| sum.plus(&one))
    }
}

impl From<Usage> for BTreeMap<String, String> {
    fn from(usage: Usage) -> Self {
        let all = usage.iter();
        all.map(|(resource, amount)| (resource.to_string(), resource.show(amount)))
            .collect()
    }
}

impl TryFrom<BTreeMap<String, String>> for Usage {
    type Error = String;

    fn try_from(written: BTreeMap<String, String>) -> Result<Self, String> {
        let read = written.into_iter().map(|(name, amount)| {
            let resource = Resource::named(&name);
            let amount = Amount::parse(&amount);
            resource
                .zip(amount)
                .ok_or_else(|| format!("{name} is no amount that a quota limits"))
        });
        read.collect::<Result<_, _>>().map(Self)
    }
}

impl Serialize for Usage {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        BTreeMap::<String, String>::from(self.clone()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = BTreeMap::<String, String>::deserialize(deserializer)?;
        Self::try_from(written).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_kubernetes_reads_them() {
        let milli = |text: &str| Amount::parse(text).map(|amount| amount.milli);
        let table = [
            ("1", Some(1000)),
            ("250m", Some(250)),
            ("0.1", Some(100)),
            (".5", Some(500)),
            ("5.", Some(5000)),
            ("+2", Some(2000)),
            ("1e3", Some(1_000_000)),
            ("1E3", Some(1_000_000)),
            ("1e-3", Some(1)),
            ("2E", Some(2 * 10_u128.pow(21))),
            ("1k", Some(1_000_000)),
            ("1Ki", Some(1_024_000)),
            ("1.5Gi", Some(1_610_612_736_000)),
            ("100u", Some(1)),
            ("1n", Some(1)),
            ("0", Some(0)),
            ("1e-30", Some(1)),
            ("", None),
            ("m", None),
            (".", None),
            ("1.2.3", None),
            ("-1", None),
            ("1 ", None),
            ("1ki", None),
            ("1KB", None),
            ("1e", None),
            ("1e+", None),
            ("1e99", None),
            ("lots", None),
        ];
        for (text, expected) in table {
            assert_eq!(milli(text), expected, "{text:?}");
        }
        assert_eq!(
            Amount::read(&serde_json::json!(2)),
            Some(Amount { milli: 2000 })
        );
        assert_eq!(
            Amount::read(&serde_json::json!(0.5)),
            Some(Amount { milli: 500 })
        );
        assert_eq!(Amount::read(&serde_json::json!(null)), None);
    }

    #[test]
    fn amounts_are_shown_in_the_largest_unit_that_leaves_no_fraction() {
        let shown = |resource: Resource, text: &str| resource.show(Amount::parse(text).unwrap());
        assert_eq!(shown(Resource::LimitsCpu, "2.0"), "2");
        assert_eq!(shown(Resource::LimitsCpu, "1.5"), "1500m");
        assert_eq!(shown(Resource::LimitsMemory, "2048Mi"), "2Gi");
        assert_eq!(shown(Resource::LimitsMemory, "1856Mi"), "1856Mi");
        assert_eq!(shown(Resource::LimitsMemory, "1G"), "1000000000");
        assert_eq!(shown(Resource::Storage, "0"), "0");
        assert_eq!(shown(Resource::Volumes, "3"), "3");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let usage = Usage::none()
            .with(Resource::RequestsCpu, Amount::parse("1500m").unwrap())
            .with(Resource::Storage, Amount::parse("3Gi").unwrap());
        let text = serde_json::to_string(&usage).unwrap();
        assert_eq!(text, r#"{"requests.cpu":"1500m","requests.storage":"3Gi"}"#);
        assert_eq!(serde_json::from_str::<Usage>(&text).unwrap(), usage);
        assert!(serde_json::from_str::<Usage>(r#"{"pods":"1"}"#).is_err());
    }
}
