//! How much of a quota is used.

use serde::{Deserialize, Serialize};

use super::amount::{Resource, Usage};

/// A ResourceQuota as its controller counted it last, which may be some seconds ago.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Filled {
    /// What is used, `status.used`.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "std::collections::BTreeMap<String, String>")
    )]
    pub used: Usage,
    /// What is allowed, `status.hard`.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "std::collections::BTreeMap<String, String>")
    )]
    pub hard: Usage,
}

impl Filled {
    /// How much of `resource` is used of how much, rounded for people: `0.8/4`, `1.2Gi/4Gi`; none where it is not limited.
    #[must_use]
    pub fn share(&self, resource: Resource) -> Option<String> {
        let (_, hard) = self.hard.iter().find(|(limited, _)| *limited == resource)?;
        let used = resource.rounded(self.used.of(resource));
        Some(format!("{used}/{}", resource.rounded(hard)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(amounts: &[(&str, &str)]) -> Usage {
        Usage::known(amounts.iter().copied())
    }

    #[test]
    fn a_share_is_rounded_up_to_tenths() {
        let hard = usage(&[
            ("limits.cpu", "4"),
            ("limits.memory", "4Gi"),
            ("pods", "10"),
            ("requests.cpu", "much"),
        ]);
        let shares = [
            ("0", "0"),
            ("1m", "1Ki"),
            ("750m", "1200Mi"),
            ("800m", "1073741825"),
            ("3999m", "1535Mi"),
            ("12500m", "1023"),
        ]
        .map(|(cpu, memory)| {
            let used = usage(&[("limits.cpu", cpu), ("limits.memory", memory)]);
            let filled = Filled {
                used,
                hard: hard.clone(),
            };
            let share = |resource| filled.share(resource).unwrap();
            let shares = [share(Resource::LimitsCpu), share(Resource::LimitsMemory)];
            assert_eq!(filled.share(Resource::RequestsCpu), None);
            shares.join("  ")
        });
        insta::assert_snapshot!(shares.join("\n"), @r"
        0/4  0/4Gi
        0.1/4  1Ki/4Gi
        0.8/4  1.2Gi/4Gi
        0.8/4  1.1Gi/4Gi
        4/4  1.5Gi/4Gi
        12.5/4  1023/4Gi
        ");
    }
}
