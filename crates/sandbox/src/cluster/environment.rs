//! The environment of a container, from its pod and the ConfigMaps and Secrets that it names.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::state::State;
use super::store::Key;

type Variables = BTreeMap<String, String>;

/// The variables, or what is missing, in the kubelet's words.
pub(super) fn of(state: &State, pod: &Value, container: &Value) -> Result<Variables, String> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let mut variables = Variables::new();
    let sources = container["envFrom"].as_array().into_iter().flatten();
    for source in sources {
        variables.extend(all_of(state, namespace, source)?);
    }
    let named = container["env"].as_array().into_iter().flatten();
    for variable in named {
        let name = variable["name"].as_str().unwrap_or_default();
        let value = match variable.get("valueFrom") {
            None => Some(expanded(
                variable["value"].as_str().unwrap_or_default(),
                &variables,
            )),
            Some(source) => one_of(state, namespace, pod, source)?,
        };
        if let Some(value) = value {
            variables.insert(name.to_owned(), value);
        }
    }
    Ok(variables)
}

/// `$(NAME)` of a variable before this one.
pub(super) fn expanded(text: &str, variables: &Variables) -> String {
    let all = variables.iter();
    all.fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("$({name})"), value)
    })
}

const SOURCES: [(&str, &str); 2] = [("ConfigMap", "configMap"), ("Secret", "secret")];

fn data(state: &State, kind: &'static str, namespace: &str, name: &str) -> Option<Variables> {
    let object = state.store.get(&Key::new(kind, namespace, name))?;
    let entries = object["data"].as_object().into_iter().flatten();
    let entries = entries.filter_map(|(key, value)| {
        let value = value.as_str()?;
        let value = if kind == "Secret" {
            let bytes = STANDARD.decode(value).ok()?;
            String::from_utf8_lossy(&bytes).into_owned()
        } else {
            value.to_owned()
        };
        Some((key.clone(), value))
    });
    Some(entries.collect())
}

fn all_of(state: &State, namespace: &str, source: &Value) -> Result<Variables, String> {
    let prefix = source["prefix"].as_str().unwrap_or_default();
    for (kind, field) in SOURCES {
        let Some(reference) = source.get(format!("{field}Ref")) else {
            continue;
        };
        let name = reference["name"].as_str().unwrap_or_default();
        let Some(found) = data(state, kind, namespace, name) else {
            if reference["optional"] == true {
                continue;
            }
            return Err(format!("{} {name:?} not found", kind.to_lowercase()));
        };
        let prefixed = found
            .into_iter()
            .map(|(key, value)| (format!("{prefix}{key}"), value));
        return Ok(prefixed.collect());
    }
    Ok(Variables::new())
}

fn one_of(
    state: &State,
    namespace: &str,
    pod: &Value,
    source: &Value,
) -> Result<Option<String>, String> {
    for (kind, field) in SOURCES {
        let Some(reference) = source.get(format!("{field}KeyRef")) else {
            continue;
        };
        let name = reference["name"].as_str().unwrap_or_default();
        let key = reference["key"].as_str().unwrap_or_default();
        let optional = reference["optional"] == true;
        let found = data(state, kind, namespace, name);
        return match (found, optional) {
            (Some(mut data), _) if data.contains_key(key) => Ok(data.remove(key)),
            (_, true) => Ok(None),
            (Some(_), false) => Err(format!(
                "couldn't find key {key} in {kind} {namespace}/{name}"
            )),
            (None, false) => Err(format!("{} {name:?} not found", kind.to_lowercase())),
        };
    }
    let path = source["fieldRef"]["fieldPath"].as_str().unwrap_or_default();
    let pointer = format!("/{}", path.replace('.', "/"));
    let value = pod.pointer(&pointer).and_then(Value::as_str);
    Ok(value.map(str::to_owned))
}

/// What a pod's volumes need and the namespace has not, in the kubelet's words.
pub(super) fn missing_volume(state: &State, pod: &Value) -> Option<String> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.into_iter().find_map(|volume| {
        let (kind, source, name) = if let Some(source) = volume.get("configMap") {
            ("ConfigMap", source, &source["name"])
        } else {
            let source = volume.get("secret")?;
            ("Secret", source, &source["secretName"])
        };
        let name = name.as_str().unwrap_or_default();
        if source["optional"] == true || state.store.get(&Key::new(kind, namespace, name)).is_some()
        {
            return None;
        }
        let volume = volume["name"].as_str().unwrap_or_default();
        let what = kind.to_lowercase();
        Some(format!(
            "MountVolume.SetUp failed for volume {volume:?} : {what} {name:?} not found"
        ))
    })
}
