//! Hosts, paths and what stands at the front door.

use super::{Config, error, error_with};

/// Two components, one of them at a host of its own.
const TWO: &str = r#"
host = "{pr}.pr.example.com"

[components.web]
image = "ghcr.io/acme/web"
path = "/"
env = { API = "https://${HOST_API}" }

[components.api]
image = "ghcr.io/acme/api"
host = "{pr}-api.pr.example.com"
"#;

fn error_of_two(from: &str, to: &str) -> String {
    assert!(TWO.contains(from), "{from}");
    error(&TWO.replacen(from, to, 1))
}

#[test]
fn a_component_has_a_path_of_the_previews_host_or_a_host_of_its_own() {
    let config = Config::parse("preview.toml", TWO).unwrap();
    let routes: Vec<String> = config
        .components
        .iter()
        .filter_map(|component| {
            let route = component.route.as_ref()?;
            Some(format!(
                "{} {:?} {}",
                component.name, route.host, route.path
            ))
        })
        .collect();
    assert_eq!(
        routes,
        ["web None /", "api Some({pr}-api.pr.example.com) /"]
    );
    // The same path of two hosts is two places; that of the preview's host, written out, is one.
    insta::assert_snapshot!(error_of_two("{pr}-api.pr.example.com", "{pr}.pr.example.com"), @"preview.toml:9: components.api.path: / leads to component web already; give each its own path");
    insta::assert_snapshot!(error(&TWO.replace("path = \"/\"", "path = \"/x\"").replace("host = \"{pr}-api.pr.example.com\"", "path = \"/x/\"").replace("env =", "#")), @"preview.toml:11: components.api.path: /x/ leads to component web already; give each its own path");
}

#[test]
fn a_host_of_a_components_own_is_one_that_the_wildcard_covers_and_no_other_preview_has() {
    let told: Vec<String> = [
        "{pr}.api.pr.example.com",
        "{pr}-api.example.com",
        "api.{pr}.pr.example.com",
        "api.pr.example.com",
        "1{pr}.pr.example.com",
        "{pr}_api.pr.example.com",
    ]
    .into_iter()
    .map(|host| error_of_two("{pr}-api.pr.example.com", host))
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    preview.toml:11: components.api.host: not one label below pr.example.com, as `host` is, which is all that a wildcard certificate covers; write it like {pr}-api.pr.example.com
    preview.toml:11: components.api.host: not one label below pr.example.com, as `host` is, which is all that a wildcard certificate covers; write it like {pr}-api.pr.example.com
    preview.toml:11: components.api.host: "api.{pr}.pr.example.com" is not a host template with {pr} in its first label and nowhere else, such as {pr}.pr.example.com: a wildcard certificate covers one label
    preview.toml:11: components.api.host: "api.pr.example.com" is not a host template with {pr} in its first label and nowhere else, such as {pr}.pr.example.com: a wildcard certificate covers one label
    preview.toml:11: components.api.host: another preview's host could be the same: {pr}.pr.example.com, the preview's own; set its parts off by dashes, like {pr}-api.pr.example.com
    preview.toml:11: components.api.host: "{pr}_api.pr.example.com" is not a template of a host name: DNS labels of a-z, 0-9 and - around {pr}
    "#);
    let three = format!("{TWO}\n[components.admin]\nimage = \"ghcr.io/acme/admin\"\nhost = \"{{pr}}-17.pr.example.com\"\n")
        .replace("{pr}-api.pr", "17-{pr}.pr");
    insta::assert_snapshot!(error(&three), @"preview.toml:11: components.api.host: another preview's host could be the same: {pr}-17.pr.example.com, that of component admin; set its parts off by dashes, like {pr}-api.pr.example.com");
}

#[test]
fn a_host_variable_is_of_a_component_that_is_reached_from_outside() {
    let told: Vec<String> = [
        ("host = \"{pr}-api.pr.example.com\"", ""),
        ("${HOST_API}", "${HOST_APY}"),
        ("API =", "HOST_API ="),
    ]
    .into_iter()
    .map(|(from, to)| error_of_two(from, to))
    .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    preview.toml:7: components.web.env.API: ${HOST_API} stands for nothing: component api has neither host nor path
    preview.toml:7: components.web.env.API: ${HOST_APY} stands for nothing: there is no component apy
    preview.toml:7: components.web.env.HOST_API: set for every component already; choose another name
    ");
}

#[test]
fn paths_are_those_that_ingresses_and_gateways_take() {
    for (path, good) in [
        ("/", true),
        ("/api", true),
        ("/api/v1/", true),
        ("/~me/a:b@c", true),
        ("api", false),
        ("", false),
        ("//", false),
        ("/a//b", false),
        ("/a/./b", false),
        ("/a/..", false),
        ("/a b", false),
        ("/a%2fb", false),
        ("/a?b", false),
    ] {
        let text = TWO.replacen("path = \"/\"", &format!("path = \"{path}\""), 1);
        let config = Config::parse("preview.toml", &text);
        assert_eq!(config.is_ok(), good, "{path}: {config:?}");
    }
}

#[test]
fn annotations_have_names_and_bring_no_text_into_the_front_doors_configuration() {
    let with = |line: &str| {
        error_with(
            "[database]",
            &format!("[ingress.annotations]\n{line}\n[database]"),
        )
    };
    let told: Vec<String> = [
        "\"nginx.ingress.kubernetes.io/configuration-snippet\" = \"deny all;\"",
        "\"nginx.org/server-snippets\" = \"\"",
        "\"haproxy.org/backend-config-snippet\" = \"\"",
        "\"a/b/c\" = \"\"",
        "\"no name\" = \"\"",
        "\"x\" = 1",
    ]
    .into_iter()
    .map(with)
    .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    preview.toml:14: ingress.annotations.nginx.ingress.kubernetes.io/configuration-snippet: a snippet of the front door's own configuration reaches beyond the preview; there is an annotation for most of what one is written for
    preview.toml:14: ingress.annotations.nginx.org/server-snippets: a snippet of the front door's own configuration reaches beyond the preview; there is an annotation for most of what one is written for
    preview.toml:14: ingress.annotations.haproxy.org/backend-config-snippet: a snippet of the front door's own configuration reaches beyond the preview; there is an annotation for most of what one is written for
    preview.toml:14: ingress.annotations.a/b/c: no name of an annotation; write it like nginx.ingress.kubernetes.io/auth-type
    preview.toml:14: ingress.annotations.no name: no name of an annotation; write it like nginx.ingress.kubernetes.io/auth-type
    preview.toml:14: ingress.annotations.x: invalid type: integer `1`, expected a string
    ");
}

#[test]
fn a_gateway_stands_in_place_of_an_ingress_controller() {
    const GATEWAY: &str = "[gateway]\nname = \"public\"\nnamespace = \"gateways\"\n[database]";
    let told: Vec<String> = [
        ("[gateway]", "[ingress]\nclass = \"nginx\"\n[gateway]"),
        ("[gateway]", "[tls]\n[gateway]"),
        ("\"public\"", "\"Public\""),
        ("\"gateways\"", "\"gate.ways\""),
        ("\"public\"", "\"public\"\nsection = \"*\""),
        ("\"public\"", "\"public\"\nlistener = \"https\""),
        ("name = \"public\"\n", ""),
    ]
    .into_iter()
    .map(|(from, to)| error_with("[database]", &GATEWAY.replacen(from, to, 1)))
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    preview.toml:15: gateway: there is [ingress], too, and a preview is reached through one of the two; leave the other out
    preview.toml:14: gateway: there is [tls], too, and a Gateway's listener has the certificate, and previews need none; leave it out
    preview.toml:14: gateway.name: no name of a Kubernetes object: a-z, 0-9, - and dots
    preview.toml:15: gateway.namespace: "gate.ways" is not a namespace name (a DNS label: at most 63 of a-z, 0-9 and -)
    preview.toml:15: gateway.section: no name of a Kubernetes object: a-z, 0-9, - and dots
    preview.toml:15: gateway.listener: unknown key; there are: name, namespace, section
    preview.toml:13: gateway: missing field `name`
    "#);
}

#[test]
fn the_example_behind_a_gateway_is_a_whole_configuration() {
    let text = include_str!("../../../../../examples/preview.gateway.toml");
    let config = Config::parse("examples/preview.gateway.toml", text).unwrap();
    let gateway = config.gateway.unwrap();
    assert_eq!(gateway.name, "public");
    let checks = config.components.iter().filter(|c| c.check.is_some());
    assert_eq!(checks.count(), 2);
}
