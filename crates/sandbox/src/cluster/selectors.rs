//! Label and field selectors.
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>

use serde_json::Value;

use super::refusal::Refusal;

/// What a list or a watch selects.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, String, bool)>,
}

#[derive(Clone, Debug)]
struct Requirement {
    key: String,
    demand: Demand,
}

#[derive(Clone, Debug)]
enum Demand {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

/// Field labels that are modelled; the API server, too, knows only some.
const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.uid",
    "reason",
    "type",
    "status.phase",
    "spec.nodeName",
];

impl Selector {
    pub(super) fn read(labels: Option<&str>, fields: Option<&str>) -> Result<Self, Refusal> {
        let labels = parts(labels.unwrap_or_default());
        let labels: Result<_, _> = labels.iter().map(|part| requirement(part)).collect();
        let fields = fields.unwrap_or_default().split(',');
        let fields: Result<_, _> = fields.filter(|part| !part.is_empty()).map(field).collect();
        Ok(Self {
            labels: labels?,
            fields: fields?,
        })
    }

    pub(super) fn selects(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|requirement| {
            let value = labels[requirement.key.as_str()].as_str();
            match &requirement.demand {
                Demand::Exists => value.is_some(),
                Demand::Absent => value.is_none(),
                Demand::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
                Demand::NotIn(values) => {
                    value.is_none_or(|value| values.iter().all(|v| v != value))
                }
            }
        }) && self.fields.iter().all(|(pointer, value, equal)| {
            let found = object.pointer(pointer).and_then(Value::as_str);
            (found.unwrap_or_default() == value) == *equal
        })
    }
}

/// The parts between commas that are outside parentheses.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut inside = false;
    for character in text.chars() {
        match character {
            ',' if !inside => parts.push(String::new()),
            other => {
                inside = (inside || other == '(') && other != ')';
                if let Some(part) = parts.last_mut() {
                    part.push(other);
                }
            }
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn requirement(part: &str) -> Result<Requirement, Refusal> {
    let part = part.trim();
    let requirement = |key: &str, demand| {
        Ok(Requirement {
            key: key.trim().to_owned(),
            demand,
        })
    };
    if let Some((left, values)) = part.strip_suffix(')').and_then(|p| p.split_once('(')) {
        let values = values.split(',').map(|value| value.trim().to_owned());
        let values = values.collect();
        return match left.trim().rsplit_once(' ') {
            Some((key, "in")) => requirement(key, Demand::In(values)),
            Some((key, "notin")) => requirement(key, Demand::NotIn(values)),
            _ => Err(unparsable(part)),
        };
    }
    if let Some((key, value)) = part.split_once("!=") {
        return requirement(key, Demand::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return requirement(key, Demand::In(vec![value.trim().to_owned()]));
    }
    if part.contains(char::is_whitespace) {
        return Err(unparsable(part));
    }
    match part.strip_prefix('!') {
        Some(key) => requirement(key, Demand::Absent),
        None => requirement(part, Demand::Exists),
    }
}

fn unparsable(part: &str) -> Refusal {
    Refusal::bad_request(format!("unable to parse requirement: {part}"))
}

fn field(part: &str) -> Result<(String, String, bool), Refusal> {
    let (key, value, equal) = if let Some((key, value)) = part.split_once("!=") {
        (key, value, false)
    } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        (key, value, true)
    } else {
        return Err(unparsable(part));
    };
    if !FIELDS.contains(&key) {
        return Err(Refusal::not_modelled(&format!("the field selector {key}")));
    }
    let pointer = format!("/{}", key.replace('.', "/"));
    Ok((pointer, value.to_owned(), equal))
}
