//! `cargo xtask kinds`: the fields of the kinds that the sandbox's cluster models, as a real API server declares them.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value};

use crate::counterparts::{self, Running};

const COPY: &str = "crates/sandbox/src/cluster/schema.txt";

/// Arguments of `cargo xtask kinds`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only say whether the copy in the repository is what the node declares; fails when it is not.
    #[arg(long)]
    check: bool,
}

/// Runs `cargo xtask kinds`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let borrowed = counterparts::borrow()?;
    let written = write(&borrowed.running, arguments.check);
    let given_back = borrowed.give_back();
    written.and(given_back)
}

/// As `cargo xtask kinds --check`, on servers that run.
///
/// # Errors
/// When the copy in the repository is not what they declare.
pub(crate) fn check(running: &Running) -> anyhow::Result<()> {
    write(running, true)
}

fn write(running: &Running, check: bool) -> anyhow::Result<()> {
    let text = declared(running)?;
    let copy = copy();
    let current = fs::read_to_string(&copy).is_ok_and(|present| present == text);
    match (current, check) {
        (true, _) => println!("{COPY} is current"),
        (false, true) => {
            bail!("{COPY} is not what the API server declares; `cargo xtask kinds` writes it anew")
        }
        (false, false) => {
            fs::write(&copy, &text).with_context(|| format!("writing {}", copy.display()))?;
            println!("{COPY} written");
        }
    }
    Ok(())
}

fn copy() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.unwrap_or(Path::new(".")).join(COPY)
}

/// The file as the running API server has it.
fn declared(running: &Running) -> anyhow::Result<String> {
    let mut types = Types::default();
    for (group, kind) in sandbox::cluster::kinds() {
        let place = match group {
            "" => "api/v1".to_owned(),
            group => format!("apis/{group}/v1"),
        };
        if !types.read.contains(&place) {
            types.merge(ask(running, &place)?)?;
            types.read.push(place);
        }
        types.root(group, kind)?;
    }
    let mut versions = running.versions.iter();
    let version = versions.find(|(name, _)| name == "kube-apiserver");
    let (_, version) = version.context("the API server does not say its version")?;
    Ok(types.text(version))
}

fn ask(running: &Running, place: &str) -> anyhow::Result<Value> {
    let mut kubectl = Command::new(&running.kubectl);
    kubectl.arg("--kubeconfig").arg(&running.kubeconfig).args([
        "get",
        "--raw",
        &format!("/openapi/v3/{place}"),
    ]);
    let told = kubectl
        .output()
        .with_context(|| format!("run {kubectl:?}"))?;
    ensure!(
        told.status.success(),
        "/openapi/v3/{place}: {}",
        String::from_utf8_lossy(&told.stderr).trim()
    );
    serde_json::from_slice(&told.stdout).with_context(|| format!("read /openapi/v3/{place}"))
}

/// Types of fields by the names under which the sandbox knows them.
#[derive(Default)]
struct Types {
    read: Vec<String>,
    schemas: Map<String, Value>,
    /// Each with its line.
    lines: BTreeMap<String, String>,
}

impl Types {
    fn merge(&mut self, mut description: Value) -> anyhow::Result<()> {
        match description["components"]["schemas"].take() {
            Value::Object(schemas) => self.schemas.extend(schemas),
            _ => bail!("an OpenAPI description has no schemas"),
        }
        Ok(())
    }

    /// Takes in a kind, and all that it has.
    fn root(&mut self, group: &str, kind: &str) -> anyhow::Result<()> {
        let is_it = |schema: &&Value| {
            let names = schema["x-kubernetes-group-version-kind"].as_array();
            names.into_iter().flatten().any(|name| {
                name["group"] == group && name["kind"] == kind && name["version"] == "v1"
            })
        };
        let schema = self.schemas.values().find(is_it).cloned();
        let schema =
            schema.with_context(|| format!("the API server has no {kind} of {group:?}"))?;
        self.declare(kind, &schema)
    }

    fn declare(&mut self, name: &str, schema: &Value) -> anyhow::Result<()> {
        if self.lines.contains_key(name) {
            return Ok(());
        }
        // Types may contain themselves.
        self.lines.insert(name.to_owned(), String::new());
        let required = schema["required"].as_array();
        let required: Vec<_> = required.into_iter().flatten().collect();
        let mut line = name.to_owned();
        if is_atomic(schema) {
            line.push('!');
        }
        let fields: BTreeMap<_, _> = schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .collect();
        for (field, schema) in fields {
            let of = self.of(&format!("{name}.{field}"), schema)?;
            write!(line, " {field}={of}")?;
            if required.iter().any(|required| *required == field) {
                line.push('*');
            }
            // Of Kubernetes' own kinds it declares what is no value ("", {}), and not what it fills in.
            if name.contains('.') {
                line.push_str(&default(&schema["default"]));
            }
        }
        self.lines.insert(name.to_owned(), line);
        Ok(())
    }

    /// The type of a field; `path` names it where it has no name of its own.
    fn of(&mut self, path: &str, schema: &Value) -> anyhow::Result<String> {
        if let Some(name) = reference(schema) {
            return self.named(name, is_atomic(schema));
        }
        if schema["x-kubernetes-int-or-string"] == true || schema["format"] == "int-or-string" {
            return Ok("int-or-string".to_owned());
        }
        let plain = match schema["type"].as_str() {
            Some("string") => match schema["format"].as_str() {
                Some("date-time") => "time",
                Some("byte") => "bytes",
                _ => "string",
            },
            Some(plain @ ("integer" | "number" | "boolean")) => plain,
            Some("array") => {
                let of = self.of(path, &schema["items"])?;
                return Ok(format!("[{}]{of}", keys(schema)));
            }
            Some("object") => return self.object(path, schema),
            _ => "any",
        };
        Ok(plain.to_owned())
    }

    fn object(&mut self, path: &str, schema: &Value) -> anyhow::Result<String> {
        let atomic = if is_atomic(schema) { "!" } else { "" };
        if schema["additionalProperties"].is_object() {
            let of = self.of(path, &schema["additionalProperties"])?;
            return Ok(format!("{{}}{of}{atomic}"));
        }
        if !schema["properties"].is_object() {
            return Ok("any".to_owned());
        }
        self.declare(path, schema)?;
        Ok(format!("{path}{atomic}"))
    }

    fn named(&mut self, name: &str, atomic: bool) -> anyhow::Result<String> {
        let schema = self.schemas.get(name).cloned();
        let schema = schema.with_context(|| format!("there is no schema {name}"))?;
        let short = name.rsplit('.').next().unwrap_or(name);
        let plain = match short {
            "Quantity" => "quantity",
            "IntOrString" => "int-or-string",
            "Time" | "MicroTime" => "time",
            _ if !schema["properties"].is_object() => {
                return self.of(short, &schema);
            }
            _ => {
                self.declare(short, &schema)?;
                let atomic = if atomic { "!" } else { "" };
                return Ok(format!("{short}{atomic}"));
            }
        };
        Ok(plain.to_owned())
    }

    fn text(&self, version: &str) -> String {
        let mut text = HEADER.replace("VERSION", version);
        for line in self.lines.values() {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

const HEADER: &str = "\
# The fields of the kinds that are modelled, as kube-apiserver VERSION declares them (/openapi/v3), one type a line.
# Written by `cargo xtask kinds`.
#
#   TYPE FIELD=TYPE FIELD=TYPE ...
#
# {}T is a map to T; []T a list that is replaced whole, [=]T a set, [a+b]T a list whose items are told apart by
# their fields a and b (x-kubernetes-list-type, -list-map-keys). ! after a type: replaced whole (x-kubernetes-map-type:
# atomic). * after a type: required. ~ after that: the default, as JSON. A type with dots in its name has none of its
# own: it is the field's of a custom kind.
";

fn reference(schema: &Value) -> Option<&str> {
    let of = schema
        .get("$ref")
        .or_else(|| schema.pointer("/allOf/0/$ref"));
    of?.as_str()?.rsplit('/').next()
}

fn is_atomic(schema: &Value) -> bool {
    schema["x-kubernetes-map-type"] == "atomic"
}

fn keys(schema: &Value) -> String {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => "=".to_owned(),
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array();
            let keys = keys.into_iter().flatten().filter_map(Value::as_str);
            keys.collect::<Vec<_>>().join("+")
        }
        _ => String::new(),
    }
}

/// A default on a line whose words are parted by spaces.
fn default(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        value => format!("~{value}").replace(' ', "\\u0020"),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_custom_kind_is_told_with_its_inner_types_and_defaults() {
        let spec = json!({
            "type": "object",
            "required": ["rules"],
            "properties": {
                "note": { "type": "string", "default": "not yet" },
                "rules": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name", "port"],
                    "items": {
                        "type": "object",
                        "x-kubernetes-map-type": "atomic",
                        "properties": { "name": { "type": "string" }, "port": { "type": "integer", "default": 80 } },
                    },
                },
                "words": { "type": "object", "additionalProperties": { "type": "string" } },
                "when": { "type": "string", "format": "date-time" },
                "size": { "x-kubernetes-int-or-string": true },
            },
        });
        let kind = json!({
            "type": "object",
            "properties": { "kind": { "type": "string" }, "spec": spec },
            "x-kubernetes-group-version-kind": [{ "group": "example.com", "kind": "Way", "version": "v1" }],
        });
        let mut types = Types::default();
        let schemas = json!({ "components": { "schemas": { "com.example.v1.Way": kind } } });
        types.merge(schemas).unwrap();
        types.root("example.com", "Way").unwrap();
        let lines: Vec<_> = types.lines.into_values().collect();
        assert_snapshot!(lines.join("\n"), @r#"
        Way kind=string spec=Way.spec
        Way.spec note=string~"not\u0020yet" rules=[name+port]Way.spec.rules!* size=int-or-string when=time words={}string
        Way.spec.rules! name=string port=integer~80
        "#);
        assert!(Types::default().root("example.com", "Way").is_err());
    }
}
