//! What the API server refuses of a NetworkPolicy; compared with v1.36. Selectors are not judged.

use std::net::IpAddr;

use serde_json::{Value, json};

type Mistake = (String, String);

/// The mistakes in a NetworkPolicy's spec, each with its field.
pub(super) fn mistakes(spec: &Value) -> Vec<Mistake> {
    let mut found = types(&spec["policyTypes"]);
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for (path, rule) in each(&format!("spec.{rules}"), &spec[rules]) {
            for (path, port) in each(&format!("{path}.ports"), &rule["ports"]) {
                found.extend(port_mistakes(&path, port));
            }
            for (path, peer) in each(&format!("{path}.{peers}"), &rule[peers]) {
                found.extend(peer_mistakes(&path, peer));
            }
        }
    }
    found
}

fn each<'a>(path: &str, list: &'a Value) -> impl Iterator<Item = (String, &'a Value)> + use<'a> {
    let path = path.to_owned();
    let items = list.as_array().into_iter().flatten().enumerate();
    items.map(move |(n, item)| (format!("{path}[{n}]"), item))
}

fn invalid(value: &Value, why: &str) -> String {
    format!("Invalid value: {value}: {why}")
}

fn types(types: &Value) -> Vec<Mistake> {
    if types.as_array().is_some_and(|all| all.len() > 2) {
        let why = invalid(types, "may not specify more than two policyTypes");
        return vec![("spec.policyTypes".to_owned(), why)];
    }
    let unknown =
        each("spec.policyTypes", types).filter(|(_, one)| *one != "Ingress" && *one != "Egress");
    let told = unknown.map(|(path, one)| {
        let why = format!("Unsupported value: {one}: supported values: \"Ingress\", \"Egress\"");
        (path, why)
    });
    told.collect()
}

fn port_mistakes(path: &str, port: &Value) -> Vec<Mistake> {
    let mut found = Vec::new();
    let protocol = &port["protocol"];
    if !protocol.is_null() && !["TCP", "UDP", "SCTP"].iter().any(|known| protocol == known) {
        let why = "supported values: \"TCP\", \"UDP\", \"SCTP\"";
        let why = format!("Unsupported value: {protocol}: {why}");
        found.push((format!("{path}.protocol"), why));
    }
    let (own, end) = (&port["port"], &port["endPort"]);
    if let Some(why) = number_mistake(own) {
        found.push((format!("{path}.port"), invalid(own, why)));
    }
    let why = match (own, end.as_i64()) {
        (_, None) => return found,
        (Value::Null, _) => "may not be specified when `port` is not specified",
        (Value::String(_), _) => "may not be specified when `port` is non-numeric",
        (own, Some(end)) if own.as_i64() > Some(end) => {
            let why = "must be greater than or equal to `port`";
            found.push((format!("{path}.endPort"), invalid(own, why)));
            return found;
        }
        _ => return found,
    };
    found.push((format!("{path}.endPort"), invalid(end, why)));
    found
}

fn number_mistake(port: &Value) -> Option<&'static str> {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    match port {
        Value::Number(number) => {
            let valid = number.as_i64().is_some_and(|n| (1..=65535).contains(&n));
            (!valid).then_some("must be between 1 and 65535, inclusive")
        }
        Value::String(name) if !name.chars().all(inner) => {
            Some("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
        }
        _ => None,
    }
}

fn peer_mistakes(path: &str, peer: &Value) -> Vec<Mistake> {
    let has = |key: &str| !peer[key].is_null();
    let selects = has("podSelector") || has("namespaceSelector");
    match (selects, has("ipBlock")) {
        (false, false) => vec![(
            path.to_owned(),
            "Required value: must specify a peer".to_owned(),
        )],
        (true, true) => {
            let why = "Forbidden: may not specify both ipBlock and another peer";
            vec![(path.to_owned(), why.to_owned())]
        }
        (true, false) => Vec::new(),
        (false, true) => block_mistakes(&format!("{path}.ipBlock"), &peer["ipBlock"]),
    }
}

fn block_mistakes(path: &str, block: &Value) -> Vec<Mistake> {
    // Without one, its absence is told as any required field's.
    let Some(text) = block["cidr"].as_str() else {
        return Vec::new();
    };
    let field = format!("{path}.cidr");
    if text.is_empty() {
        return vec![(field, "Required value".to_owned())];
    }
    let whole = match Range::parse(text) {
        Ok(whole) => whole,
        Err(why) => return vec![(field, invalid(&block["cidr"], why))],
    };
    let parts = each(&format!("{path}.except"), &block["except"]);
    let wrong = parts.filter_map(|(path, text)| {
        let why = match Range::parse(text.as_str().unwrap_or_default()) {
            Err(why) => why,
            Ok(part) if !part.is_strictly_within(&whole) => "must be a strict subset of `cidr`",
            Ok(_) => return None,
        };
        Some((path, invalid(&json!(text), why)))
    });
    wrong.collect()
}

/// A range of addresses, such as `10.0.0.0/8`.
struct Range {
    /// The address as a number, its family's highest bit first.
    start: u128,
    length: u32,
    width: u32,
}

impl Range {
    fn parse(text: &str) -> Result<Self, &'static str> {
        const NONE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        let (address, length) = text.split_once('/').ok_or(NONE)?;
        let (start, width) = match address.parse().map_err(|_| NONE)? {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let length: u32 = length.parse().map_err(|_| NONE)?;
        if length > width {
            return Err(NONE);
        }
        let below = u128::MAX
            .checked_shr(128 - (width - length))
            .unwrap_or_default();
        if start & below != 0 {
            return Err("must not have bits set beyond the prefix length");
        }
        Ok(Self {
            start,
            length,
            width,
        })
    }

    fn is_strictly_within(&self, whole: &Self) -> bool {
        let prefix = |start: u128| {
            start
                .checked_shr(whole.width - whole.length)
                .unwrap_or_default()
        };
        self.width == whole.width
            && self.length > whole.length
            && prefix(self.start) == prefix(whole.start)
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn told(spec: &Value) -> String {
        let told = mistakes(spec).into_iter();
        let told = told.map(|(field, why)| format!("{field}: {why}"));
        told.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn peers_are_a_selector_or_a_block_of_addresses() {
        let blocks = [
            json!({}),
            json!({ "podSelector": {}, "ipBlock": { "cidr": "10.0.0.0/8" } }),
            json!({ "ipBlock": { "cidr": "10.0.0.0" } }),
            json!({ "ipBlock": { "cidr": "" } }),
            json!({ "ipBlock": { "cidr": "10.0.0.1/8" } }),
            json!({ "ipBlock": {
                "cidr": "0.0.0.0/0", "except": ["0.0.0.0/0", "10.0.0.0/8", "fc00::/7", "x"],
            } }),
            json!({ "ipBlock": { "cidr": "::/0", "except": ["fc00::/7"] } }),
            json!({ "namespaceSelector": {}, "podSelector": {} }),
        ];
        assert_snapshot!(told(&json!({ "egress": [{ "to": blocks }] })), @r#"
        spec.egress[0].to[0]: Required value: must specify a peer
        spec.egress[0].to[1]: Forbidden: may not specify both ipBlock and another peer
        spec.egress[0].to[2].ipBlock.cidr: Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)
        spec.egress[0].to[3].ipBlock.cidr: Required value
        spec.egress[0].to[4].ipBlock.cidr: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length
        spec.egress[0].to[5].ipBlock.except[0]: Invalid value: "0.0.0.0/0": must be a strict subset of `cidr`
        spec.egress[0].to[5].ipBlock.except[2]: Invalid value: "fc00::/7": must be a strict subset of `cidr`
        spec.egress[0].to[5].ipBlock.except[3]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)
        "#);
    }

    #[test]
    fn ports_and_types_are_those_that_there_are() {
        let ports = json!([
            { "protocol": "tcp", "port": 0 },
            { "port": "no_name" },
            { "port": 70000 },
            { "port": 80, "endPort": 70 },
            { "endPort": 90 },
            { "port": "http", "endPort": 99 },
            { "protocol": "UDP", "port": 53 },
        ]);
        assert_snapshot!(told(&json!({ "ingress": [{ "ports": ports }], "policyTypes": ["Ingres"] })), @r#"
        spec.policyTypes[0]: Unsupported value: "Ingres": supported values: "Ingress", "Egress"
        spec.ingress[0].ports[0].protocol: Unsupported value: "tcp": supported values: "TCP", "UDP", "SCTP"
        spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive
        spec.ingress[0].ports[1].port: Invalid value: "no_name": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)
        spec.ingress[0].ports[2].port: Invalid value: 70000: must be between 1 and 65535, inclusive
        spec.ingress[0].ports[3].endPort: Invalid value: 80: must be greater than or equal to `port`
        spec.ingress[0].ports[4].endPort: Invalid value: 90: may not be specified when `port` is not specified
        spec.ingress[0].ports[5].endPort: Invalid value: 99: may not be specified when `port` is non-numeric
        "#);
        let thrice = json!({ "policyTypes": ["Ingress", "Egress", "Ingress"] });
        assert_snapshot!(told(&thrice), @r#"spec.policyTypes: Invalid value: ["Ingress","Egress","Ingress"]: may not specify more than two policyTypes"#);
    }
}
