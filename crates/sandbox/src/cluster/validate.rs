//! What the API server refuses as invalid, as far as the modelled kinds need it.

use serde_json::{Value, json};

use super::kinds::Resource;
use super::network_policy;
use super::quantity::Quantity;
use super::refusal::Refusal;
use super::schema;
use super::snapshots;

type Mistakes = Vec<(String, String)>;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
     and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
     start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SERVICE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
     alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
     validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
     must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
     validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Refuses an object that may not be.
pub(super) fn object(resource: &Resource, object: &Value) -> Result<(), Refusal> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let mut mistakes = name_mistakes(resource, name);
    mistakes.extend(label_mistakes(
        &object["metadata"]["labels"],
        "metadata.labels",
    ));
    let missing = schema::missing(&schema::of_kind(resource.kind), object);
    let unknown = snapshots::enumeration(resource.kind, &object["spec"]);
    let unchecked = resource.is_custom() && !(missing.is_empty() && unknown.is_none());
    mistakes.extend(
        missing
            .into_iter()
            .map(|path| (path, "Required value".to_owned())),
    );
    mistakes.extend(unknown);
    if unchecked {
        let why = "Invalid value: null: some validation rules were not checked because the object was invalid; \
                   correct the existing errors to complete validation";
        mistakes.push(("<nil>".to_owned(), why.to_owned()));
    } else {
        mistakes.extend(snapshots::rules(resource.kind, &object["spec"]));
    }
    mistakes.extend(kind_mistakes(resource.kind, object));
    refuse(resource, name, mistakes)
}

fn refuse(resource: &Resource, name: &str, mistakes: Mistakes) -> Result<(), Refusal> {
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(Refusal::invalid(resource, name, &mistakes))
    }
}

fn invalid(value: &Value, why: &str) -> String {
    format!("Invalid value: {value}: {why}")
}

fn name_mistakes(resource: &Resource, name: &str) -> Mistakes {
    let (longest, rule) = match resource.kind {
        "Namespace" => (63, LABEL),
        "Service" => (63, SERVICE),
        _ => (253, SUBDOMAIN),
    };
    let part = |part: &str| {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(edge) && part.ends_with(edge) && part.chars().all(|c| edge(c) || c == '-')
    };
    let valid = match resource.kind {
        "Namespace" => part(name),
        "Service" => part(name) && name.starts_with(|c: char| c.is_ascii_lowercase()),
        _ => name.split('.').all(part),
    };
    let mut mistakes = Mistakes::new();
    let mut refuse = |why: &str| {
        mistakes.push(("metadata.name".to_owned(), invalid(&json!(name), why)));
    };
    if !valid {
        refuse(rule);
    }
    if name.len() > longest {
        refuse(&format!("must be no more than {longest} characters"));
    }
    mistakes
}

fn label_mistakes(labels: &Value, field: &str) -> Mistakes {
    let labels = labels.as_object().into_iter().flatten();
    let values = labels.filter_map(|(_, value)| value.as_str());
    let mut mistakes = Mistakes::new();
    for value in values {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let edge = |c: char| c.is_ascii_alphanumeric();
        let well_formed = value.is_empty()
            || (value.starts_with(edge) && value.ends_with(edge) && value.chars().all(inner));
        if value.len() > 63 {
            let why = "must be no more than 63 characters";
            mistakes.push((field.to_owned(), invalid(&json!(value), why)));
        }
        if !well_formed {
            mistakes.push((field.to_owned(), invalid(&json!(value), VALUE)));
        }
    }
    mistakes
}

fn kind_mistakes(kind: &str, object: &Value) -> Mistakes {
    let spec = &object["spec"];
    let mut mistakes = Mistakes::new();
    match kind {
        "Pod" => mistakes.extend(pod_mistakes(spec, "spec", Vec::new())),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => {
            // A volume of a claim's template has the template's name.
            let claims = names(&spec["volumeClaimTemplates"], "/metadata/name").collect();
            mistakes.extend(template_mistakes(
                &spec["template"],
                "spec.template",
                claims,
            ));
            mistakes.extend(selector_mistakes(spec));
        }
        "Job" => {
            mistakes.extend(template_mistakes(
                &spec["template"],
                "spec.template",
                Vec::new(),
            ));
            mistakes.extend(restart_mistakes(&spec["template"]["spec"]["restartPolicy"]));
        }
        "CronJob" => {
            let template = &spec["jobTemplate"]["spec"]["template"];
            mistakes.extend(template_mistakes(
                template,
                "spec.jobTemplate.spec.template",
                Vec::new(),
            ));
        }
        "NetworkPolicy" => mistakes.extend(network_policy::mistakes(spec)),
        "ResourceQuota" => mistakes.extend(amount_mistakes(&spec["hard"], "spec.hard")),
        _ => {}
    }
    mistakes
}

fn template_mistakes(template: &Value, path: &str, claims: Vec<&str>) -> Mistakes {
    let labels = format!("{path}.metadata.labels");
    let mut mistakes = label_mistakes(&template["metadata"]["labels"], &labels);
    mistakes.extend(pod_mistakes(
        &template["spec"],
        &format!("{path}.spec"),
        claims,
    ));
    mistakes
}

fn pod_mistakes<'a>(spec: &'a Value, path: &str, mut volumes: Vec<&'a str>) -> Mistakes {
    let mut mistakes = Mistakes::new();
    if spec["containers"].as_array().is_some_and(Vec::is_empty) {
        mistakes.push((format!("{path}.containers"), "Required value".to_owned()));
    }
    volumes.extend(names(&spec["volumes"], "/name"));
    for list in ["initContainers", "containers"] {
        let containers = spec[list].as_array().into_iter().flatten();
        for (n, container) in containers.enumerate() {
            let path = format!("{path}.{list}[{n}]");
            mistakes.extend(container_mistakes(container, &path, &volumes));
        }
    }
    mistakes
}

fn names<'a>(list: &'a Value, pointer: &str) -> impl Iterator<Item = &'a str> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(move |item| item.pointer(pointer)?.as_str())
}

fn container_mistakes(container: &Value, path: &str, volumes: &[&str]) -> Mistakes {
    let mut mistakes = Mistakes::new();
    let image = container["image"].as_str().unwrap_or_default();
    if image.is_empty() {
        mistakes.push((format!("{path}.image"), "Required value".to_owned()));
    } else if image.trim() != image {
        let why = "must not have leading or trailing whitespace";
        mistakes.push((format!("{path}.image"), invalid(&json!(image), why)));
    }
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    for (n, mount) in mounts.enumerate() {
        let name = mount["name"].as_str().unwrap_or_default();
        let claimed = volumes.contains(&name);
        if !claimed {
            let field = format!("{path}.volumeMounts[{n}].name");
            mistakes.push((field, format!("Not found: {name:?}")));
        }
    }
    for which in ["limits", "requests"] {
        let field = format!("{path}.resources.{which}");
        mistakes.extend(amount_mistakes(&container["resources"][which], &field));
    }
    let limits = container["resources"]["limits"].as_object();
    for (resource, limit) in limits.into_iter().flatten() {
        let request = Quantity::read(&container["resources"]["requests"][resource]);
        let (Some(limit), Some(request)) = (Quantity::read(limit), request) else {
            continue;
        };
        if request > limit {
            let field = format!("{path}.resources.requests");
            let why = format!("must be less than or equal to {resource} limit of {limit}");
            mistakes.push((field, invalid(&json!(request.to_string()), &why)));
        }
    }
    mistakes
}

fn amount_mistakes(amounts: &Value, field: &str) -> Mistakes {
    let amounts = amounts.as_object().into_iter().flatten();
    let wrong = amounts.filter(|(_, amount)| Quantity::read(amount).is_none());
    let why = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    wrong
        .map(|(resource, amount)| (format!("{field}[{resource}]"), invalid(amount, why)))
        .collect()
}

fn selector_mistakes(spec: &Value) -> Mistakes {
    let labels = &spec["template"]["metadata"]["labels"];
    let wanted = spec["selector"]["matchLabels"].as_object();
    let mut wanted = wanted.into_iter().flatten();
    if wanted.all(|(key, value)| labels.get(key) == Some(value)) {
        return Mistakes::new();
    }
    let why = "`selector` does not match template `labels`";
    vec![(
        "spec.template.metadata.labels".to_owned(),
        invalid(labels, why),
    )]
}

fn restart_mistakes(policy: &Value) -> Mistakes {
    let field = "spec.template.spec.restartPolicy".to_owned();
    let valid = "valid values: \"OnFailure\", \"Never\"";
    match policy.as_str().unwrap_or_default() {
        "OnFailure" | "Never" => Mistakes::new(),
        "" => vec![(field, format!("Required value: {valid}"))],
        other => {
            let supported = "supported values: \"OnFailure\", \"Never\"";
            vec![(field, format!("Unsupported value: {other:?}: {supported}"))]
        }
    }
}

/// Fields of a StatefulSet's spec that may change.
const STATEFUL: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// Refuses a change of what may not change.
pub(super) fn change(resource: &Resource, before: &Value, after: &Value) -> Result<(), Refusal> {
    let name = before["metadata"]["name"].as_str().unwrap_or_default();
    let immutable = |path: &str| {
        let pointer = format!("/{}", path.replace('.', "/"));
        let (old, new) = (before.pointer(&pointer), after.pointer(&pointer));
        let value = new.cloned().unwrap_or_default();
        (old != new).then(|| (path.to_owned(), invalid(&value, "field is immutable")))
    };
    let forbidden = |why: &str| ("spec".to_owned(), format!("Forbidden: {why}"));
    let mut mistakes = late_finalizers(&before["metadata"], &after["metadata"]);
    match resource.kind {
        "Deployment" | "ReplicaSet" | "DaemonSet" => mistakes.extend(immutable("spec.selector")),
        "Job" => {
            mistakes.extend(immutable("spec.selector"));
            mistakes.extend(immutable("spec.completions"));
            mistakes.extend(immutable("spec.template"));
        }
        "StatefulSet"
            if without(&before["spec"], &STATEFUL) != without(&after["spec"], &STATEFUL) =>
        {
            mistakes.push(forbidden(
                "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                 'minReadySeconds' are forbidden",
            ));
        }
        "PersistentVolumeClaim"
            if without(&before["spec"], &["resources"])
                != without(&after["spec"], &["resources"]) =>
        {
            mistakes.push(forbidden(
                "spec is immutable after creation except resources.requests and volumeAttributesClassName \
                 for bound claims",
            ));
        }
        "Service" => mistakes.extend(immutable("spec.clusterIP")),
        "Secret" => mistakes.extend(immutable("type")),
        "Pod" if apart_from_images(&before["spec"]) != apart_from_images(&after["spec"]) => {
            mistakes.push(forbidden(
                "pod updates may not change fields other than `spec.containers[*].image`,\
                 `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions \
                 to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it \
                 was previously negative)",
            ));
        }
        kind => mistakes.extend(snapshots::changes(kind, &before["spec"], &after["spec"])),
    }
    if matches!(resource.kind, "ConfigMap" | "Secret")
        && before["immutable"] == true
        && before["data"] != after["data"]
    {
        let why = "Forbidden: field is immutable when `immutable` is set";
        mistakes.push(("data".to_owned(), why.to_owned()));
    }
    refuse(resource, name, mistakes)
}

/// What is on its way out can be let go, and not be held anew.
fn late_finalizers(before: &Value, after: &Value) -> Mistakes {
    let all = |metadata: &Value| {
        metadata["finalizers"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let mut new = all(after);
    new.retain(|finalizer| !all(before).contains(finalizer));
    if new.is_empty() || before.get("deletionTimestamp").is_none() {
        return Mistakes::new();
    }
    let new: Vec<String> = new.iter().map(Value::to_string).collect();
    let what = format!(
        "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        new.join(", ")
    );
    vec![("metadata.finalizers".to_owned(), what)]
}

fn without(value: &Value, keys: &[&str]) -> Value {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|key, _| !keys.contains(&key.as_str()));
    }
    value
}

fn apart_from_images(spec: &Value) -> Value {
    let mut spec = without(spec, &["activeDeadlineSeconds", "tolerations", "nodeName"]);
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            container["image"] = Value::Null;
        }
    }
    spec
}

/// The refusal of an object with another uid than the one there.
pub(super) fn foreign_uid(resource: &Resource, name: &str, uid: &str) -> Refusal {
    let mistake = (
        "metadata.uid".to_owned(),
        invalid(&json!(uid), "field is immutable"),
    );
    Refusal::invalid(resource, name, &[mistake])
}
