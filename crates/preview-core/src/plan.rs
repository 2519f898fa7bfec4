//! What a deploy would change, before it does: the table of `preview-deploy plan`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::markdown::code_cell;
use crate::ownership::keys;

/// Fields that a line names; more are counted. `result.json` has them all.
const FIELDS: usize = 5;

/// Objects that the summary's table shows; GitHub takes 1 MiB.
const ROWS: usize = 200;

/// What a deploy would do to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PlannedChange {
    /// It is not there, and would be.
    Created,
    /// Some of its fields would be others.
    Changed,
    /// It is as it would be.
    Unchanged,
    /// It would be deleted and made afresh.
    Recreated,
    /// The preview has it no longer.
    Deleted,
    /// It would be applied; the cluster was not asked what that changes.
    Unknown,
}

impl PlannedChange {
    /// One word, for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Recreated => "recreated",
            Self::Deleted => "deleted",
            Self::Unknown => "applied",
        }
    }
}

impl fmt::Display for PlannedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where in an object a field is: `spec.template.spec.containers[web].image`. An item of a list is named by its name, or
/// by its place where items have none; so is a key that is no plain word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct FieldPath(String);

impl FieldPath {
    fn field(&self, key: &str) -> Self {
        let is_plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        match (self.0.as_str(), is_plain) {
            ("", true) => Self(key.to_owned()),
            (path, true) => Self(format!("{path}.{key}")),
            (_, false) => self.item(key),
        }
    }

    fn item(&self, name: &str) -> Self {
        Self(format!("{}[{name}]", self.0))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An object with what a deploy would do to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// Which: `Deployment/web`. A Job whose name follows from a database that is yet to be made ends in `…`.
    pub object: String,
    /// What would become of it.
    pub change: PlannedChange,
    /// The fields that would be others, where it is changed; never their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldPath>,
}

impl Planned {
    /// An object with nothing to say of its fields.
    #[must_use]
    pub fn new(object: impl fmt::Display, change: PlannedChange) -> Self {
        Self {
            object: object.to_string(),
            change,
            fields: Vec::new(),
        }
    }

    /// The first of the fields, as `show` writes them, and how many more there are.
    fn shown(&self, show: impl Fn(&FieldPath) -> String) -> String {
        let named: Vec<String> = self.fields.iter().take(FIELDS).map(show).collect();
        let mut named = named.join(", ");
        let more = self.fields.len().saturating_sub(FIELDS);
        if more > 0 {
            let _ = write!(named, " and {more} more");
        }
        named
    }
}

/// The plan as lines of a log, in columns.
#[must_use]
pub fn lines(plan: &[Planned]) -> Vec<String> {
    let lines = plan.iter().map(|planned| {
        let Planned { object, change, .. } = planned;
        let line = format!("{change:<9}  {object}");
        match planned.fields.is_empty() {
            true => line,
            false => format!("{line}: {}", planned.shown(ToString::to_string)),
        }
    });
    lines.collect()
}

/// The plan as a table in Markdown.
#[must_use]
pub fn markdown(plan: &[Planned]) -> String {
    let mut out = "| | Object | Fields |\n|---|---|---|\n".to_owned();
    for planned in plan.iter().take(ROWS) {
        let fields = planned.shown(|field| code_cell(&field.0));
        let object = code_cell(&planned.object);
        let _ = writeln!(out, "| {} | {object} | {fields} |", planned.change);
    }
    let more = plan.len().saturating_sub(ROWS);
    if more > 0 {
        let _ = writeln!(out, "\n… and {more} more in result.json");
    }
    out
}

/// The fields in which an object differs from what it was, but for what the server keeps for itself, its status, and our
/// fence, which every run leaves different. A whole part that comes or goes is one field.
#[must_use]
pub fn changes(before: &Value, after: &Value) -> Vec<FieldPath> {
    let mut found = Vec::new();
    let (before, after) = (comparable(before), comparable(after));
    differences(
        &FieldPath(String::new()),
        Some(&before),
        Some(&after),
        &mut found,
    );
    found
}

fn comparable(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return object;
    };
    for key in ["managedFields", "resourceVersion", "generation"] {
        metadata.remove(key);
    }
    for map in ["labels", "annotations"] {
        if let Some(map) = metadata.get_mut(map).and_then(Value::as_object_mut) {
            map.remove(keys::FENCE);
        }
    }
    object
}

fn differences(
    path: &FieldPath,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut Vec<FieldPath>,
) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in all {
                let there = |value: &&Value| !value.is_null();
                let before = before.get(key).filter(there);
                let after = after.get(key).filter(there);
                differences(&path.field(key), before, after, found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            match (by_name(before), by_name(after)) {
                (Some(before), Some(after)) => {
                    let all: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
                    let known = found.len();
                    for name in all {
                        let (before, after) = (before.get(name).copied(), after.get(name).copied());
                        differences(&path.item(name), before, after, found);
                    }
                    if found.len() == known {
                        // The same items in another order.
                        found.push(path.clone());
                    }
                }
                _ if before.len() == after.len() => {
                    for (place, (before, after)) in before.iter().zip(after).enumerate() {
                        let path = path.item(&place.to_string());
                        differences(&path, Some(before), Some(after), found);
                    }
                }
                _ => found.push(path.clone()),
            }
        }
        _ => found.push(path.clone()),
    }
}

/// The items of a list by their names, where each has one of its own.
fn by_name(items: &[Value]) -> Option<BTreeMap<&str, &Value>> {
    let named = items
        .iter()
        .map(|item| Some((item.get("name")?.as_str()?, item)));
    let named: BTreeMap<&str, &Value> = named.collect::<Option<_>>()?;
    (named.len() == items.len()).then_some(named)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(image: &str, fence: &str) -> Value {
        json!({
            "metadata": {
                "name": "web",
                "labels": { "app": "web", keys::FENCE: fence },
                "resourceVersion": fence,
                "generation": 7,
                "managedFields": [{ "time": fence }],
            },
            "spec": {
                "replicas": 1,
                "template": { "spec": { "containers": [
                    { "name": "web", "image": image, "args": ["a"] },
                    { "name": "proxy", "image": "proxy:1" },
                ] } },
            },
            "status": { "replicas": fence },
        })
    }

    fn told(before: &Value, after: &Value) -> String {
        let changes = changes(before, after);
        changes
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn what_every_run_leaves_different_is_no_change() {
        let (before, after) = (deployment("web:1", "100.1"), deployment("web:1", "101.1"));
        assert_eq!(told(&before, &after), "");
    }

    #[test]
    fn a_change_is_told_by_where_it_is() {
        let before = deployment("web:1", "1");
        let mut after = deployment("web:2", "1");
        after["metadata"]["annotations"]["example.com/owner"] = json!("shop");
        after["metadata"]["labels"]["example.com/team"] = json!("shop");
        after["spec"]["replicas"] = json!(null);
        let containers = &mut after["spec"]["template"]["spec"]["containers"];
        containers[0]["args"] = json!(["b"]);
        containers[1] = json!({ "name": "cache", "image": "cache:1" });
        insta::assert_snapshot!(told(&before, &after), @r"
        metadata.annotations
        metadata.labels[example.com/team]
        spec.replicas
        spec.template.spec.containers[cache]
        spec.template.spec.containers[proxy]
        spec.template.spec.containers[web].args[0]
        spec.template.spec.containers[web].image
        ");
    }

    #[test]
    fn a_list_without_names_is_compared_by_place_or_as_a_whole() {
        let object = |rules: Value| json!({ "spec": { "rules": rules } });
        let before = object(json!([{ "host": "a" }, { "host": "b" }]));
        let other = object(json!([{ "host": "a" }, { "host": "c" }]));
        let shorter = object(json!([{ "host": "a" }]));
        assert_eq!(told(&before, &other), "spec.rules[1].host");
        assert_eq!(told(&before, &shorter), "spec.rules");
        let ordered = |names: [&str; 2]| object(json!(names.map(|name| json!({ "name": name }))));
        let (before, after) = (ordered(["a", "b"]), ordered(["b", "a"]));
        assert_eq!(told(&before, &after), "spec.rules");
    }

    #[test]
    fn a_plan_names_the_first_fields_and_counts_the_rest() {
        let fields = (0..7).map(|n| FieldPath("data".to_owned()).item(&format!("k|{n}")));
        let plan = [
            Planned::new("Service/web", PlannedChange::Created),
            Planned {
                fields: fields.collect(),
                ..Planned::new("ConfigMap/app-config", PlannedChange::Changed)
            },
        ];
        insta::assert_snapshot!(lines(&plan).join("\n"), @r"
        created    Service/web
        changed    ConfigMap/app-config: data[k|0], data[k|1], data[k|2], data[k|3], data[k|4] and 2 more
        ");
        insta::assert_snapshot!(markdown(&plan), @r"
        | | Object | Fields |
        |---|---|---|
        | created | `Service/web` |  |
        | changed | `ConfigMap/app-config` | `data[k\|0]`, `data[k\|1]`, `data[k\|2]`, `data[k\|3]`, `data[k\|4]` and 2 more |
        ");
    }
}
