//! How a component is seen to answer.

use super::{Config, Through, error};

const CHECKED: &str = r#"
host = "{pr}.pr.example.com"

[components.web]
image = "ghcr.io/acme/web"
path = "/"
[components.web.check]

[components.api]
image = "ghcr.io/acme/api"
path = "/api/"
check = { path = "/api/ready", status = 204, deadline = "2m" }

[components.worker]
image = "ghcr.io/acme/worker"
check = { deadline = "5s" }

[checks]
connect_to = "203.0.113.7:443"
"#;

fn error_with(from: &str, to: &str) -> String {
    assert!(CHECKED.contains(from), "{from}");
    error(&CHECKED.replacen(from, to, 1))
}

#[test]
fn a_page_is_asked_for_through_the_route_where_there_is_one() {
    let config = Config::parse("preview.toml", CHECKED).unwrap();
    let told = config.components.iter().map(|component| {
        let check = component.check.as_ref().unwrap();
        let (status, deadline) = (check.status, check.deadline);
        let through = check.through;
        format!(
            "{} {} {status} {deadline:?} {through:?}",
            component.name, check.path
        )
    });
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @"
    web / 200 60s Route
    api /api/ready 204 120s Route
    worker / 200 5s Cluster
    ");
    assert_eq!(
        config.checks.connect_to.unwrap().as_str(),
        "203.0.113.7:443"
    );
    let inside = CHECKED.replacen("[components.web.check]", "check.through = \"cluster\"", 1);
    let config = Config::parse("preview.toml", &inside).unwrap();
    let web = config.component(&"web".parse().unwrap()).unwrap();
    assert_eq!(web.check.as_ref().unwrap().through, Through::Cluster);
}

#[test]
fn a_check_that_cannot_be_meant_is_refused() {
    let told: Vec<String> = [
        ("deadline = \"5s\"", "through = \"route\""),
        ("deadline = \"5s\"", "through = \"pod\""),
        ("deadline = \"5s\"", "deadline = \"0s\""),
        ("deadline = \"5s\"", "deadline = \"2h\""),
        ("status = 204", "status = 20"),
        ("/api/ready", "/ready"),
        ("/api/ready", "/apis"),
        ("/api/ready", "/api/a b"),
        ("[components.web.check]", "check.path = \"/api/ready\""),
        ("status = 204", "stats = 204"),
        ("203.0.113.7:443", "203.0.113.7"),
        ("203.0.113.7:443", "[2001:db8::7]:0"),
        ("connect_to", "connect_ot"),
    ]
    .into_iter()
    .map(|(from, to)| error_with(from, to))
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    preview.toml:16: components.worker.check.through: there is no route: the component has neither host nor path; write "cluster"
    preview.toml:16: components.worker.check.through: unknown variant `pod`, expected `route` or `cluster`
    preview.toml:16: components.worker.check.deadline: "0s" is no duration of at least 1s and at most 1h; write it like 60s or 2m
    preview.toml:16: components.worker.check.deadline: "2h" is no duration of at least 1s and at most 1h; write it like 60s or 2m
    preview.toml:12: components.api.check.status: no HTTP status; write 100 to 599
    preview.toml:12: components.api.check.path: a path that does not lead to api, whose route is /api/; begin it with /api/
    preview.toml:12: components.api.check.path: a path that does not lead to api, whose route is /api/; begin it with /api/
    preview.toml:12: components.api.check.path: no path; it begins with / and is of letters, digits, % and -._~!$&'()*+,;=:@
    preview.toml:7: components.web.check.path: /api/ready leads to component api, whose route is more exact; choose another
    preview.toml:12: components.api.check.stats: unknown key; did you mean `status`?
    preview.toml:19: checks.connect_to: "203.0.113.7" is not an address with a port, such as 203.0.113.7:443
    preview.toml:19: checks.connect_to: "[2001:db8::7]:0" is not an address with a port, such as 203.0.113.7:443
    preview.toml:19: checks.connect_ot: unknown key; did you mean `connect_to`?
    "#);
    let unused = "host = \"{pr}.x.org\"\n[components.web]\nimage = \"ghcr.io/acme/web\"\n[checks]\nconnect_to = \"x:1\"";
    insta::assert_snapshot!(error(unused), @"preview.toml:5: checks.connect_to: no component has a check through its route; describe one as [components.<name>.check]");
}

#[test]
fn a_front_door_is_a_name_or_an_address_and_a_port() {
    for (address, good) in [
        ("203.0.113.7:443", true),
        ("[2001:db8::7]:8443", true),
        ("door.example.com:443", true),
        ("localhost:1", true),
        ("2001:db8::7:443", false),
        ("door.example.com", false),
        ("door.example.com:65536", false),
        ("door.example.com:0", false),
        ("https://door.example.com:443", false),
    ] {
        let text = CHECKED.replacen("203.0.113.7:443", address, 1);
        assert_eq!(
            Config::parse("preview.toml", &text).is_ok(),
            good,
            "{address}"
        );
    }
}
