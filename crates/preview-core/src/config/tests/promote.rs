//! Where a merged pull request goes, and what has to hold there.

use super::*;

/// [`RIGHT`] with a target that runs the API, and this beside it.
fn with(more: &str) -> String {
    let api =
        "workloads = [{ component = \"api\", workload = \"CronJob/api\", container = \"main\" }]";
    let web = "workloads = [{ component = \"web\", workload = \"Deployment/web\" }]";
    format!("{}{more}\n", RIGHT.replacen(web, api, 1))
}

fn target(more: &str) -> Target {
    let config = Config::parse("preview.toml", &with(more)).unwrap();
    config.promote.targets[0].clone()
}

#[test]
fn a_command_runs_like_the_workload_that_has_its_component() {
    let migrate = target("migrate = { component = \"api\" }").migrate.unwrap();
    assert_eq!(migrate.command, ["/api", "migrate"], "as in previews");
    assert_eq!(migrate.of.workload.to_string(), "CronJob/api");
    assert_eq!(migrate.of.container, "main");
    let other = "migrate = { component = \"api\", command = [\"/api\", \"up\"] }";
    assert_eq!(target(other).migrate.unwrap().command, ["/api", "up"]);
    let nothing = target("");
    assert_eq!(
        (nothing.migrate, nothing.verify),
        (None, Verification::default())
    );
    assert_eq!(nothing.rollback_after_migration, AfterMigration::Allow);
}

#[test]
fn a_page_or_a_command_or_both_are_looked_at() {
    let page = target("verify = { host = \"shop.example.com\" }")
        .verify
        .page
        .unwrap();
    assert_eq!(page.address(), "https://shop.example.com/");
    assert_eq!((page.status, page.deadline), (200, Duration::from_secs(60)));
    let both = target(
        "verify = { host = \"shop.example.com\", path = \"/ready\", status = 204, deadline = \"2m\", \
         connect_to = \"203.0.113.7:443\", component = \"api\", command = [\"/api\", \"check\"] }",
    );
    let page = both.verify.page.unwrap();
    assert_eq!(page.address(), "https://shop.example.com/ready");
    assert_eq!(
        (page.status, page.deadline),
        (204, Duration::from_secs(120))
    );
    assert_eq!(page.connect_to.unwrap().as_str(), "203.0.113.7:443");
    assert_eq!(both.verify.command.unwrap().command, ["/api", "check"]);
}

#[test]
fn paths_that_need_not_be_as_tested_are_named_by_patterns() {
    let ignoring = RIGHT.replacen(
        "[[promote.targets]]",
        "[promote]\nignore = [\"docs/**\"]\n[[promote.targets]]",
        1,
    );
    let ignore = Config::parse("preview.toml", &ignoring)
        .unwrap()
        .promote
        .ignore;
    assert!(ignore.mean("docs/index.md") && !ignore.mean("web/index.html"));
    let none = Config::parse("preview.toml", RIGHT).unwrap().promote.ignore;
    assert!(!none.mean("docs/index.md"));
}

#[test]
fn what_cannot_be_run_or_seen_is_refused_with_its_place() {
    let told: Vec<String> = [
        "migrate = { component = \"web\" }",
        "migrate = { component = \"web\", command = [\"web\"] }",
        "migrate = { component = \"api\", command = [] }",
        "migrate = { components = \"api\" }",
        "verify = {}",
        "verify = { path = \"/ready\" }",
        "verify = { host = \"shop example\" }",
        "verify = { host = \"shop.example.com\", path = \"ready\" }",
        "verify = { host = \"shop.example.com\", status = 99 }",
        "verify = { host = \"shop.example.com\", deadline = \"2h\" }",
        "verify = { host = \"shop.example.com\", connect_to = \"door\" }",
        "verify = { host = \"shop.example.com\", command = [\"/api\"] }",
        "verify = { component = \"api\" }",
        "rollback_after_migration = \"never\"",
    ]
    .map(|more| error(&with(more)))
    .into();
    insta::assert_snapshot!(told.join("\n"), @r#"
    preview.toml:19: promote.targets[0].migrate.command: a command of no words; write it like ["/api", "migrate"]
    preview.toml:19: promote.targets[0].migrate.component: the target runs no component web; name one of its workloads'
    preview.toml:19: promote.targets[0].migrate.command: a command of no words; write it like ["/api", "migrate"]
    preview.toml:19: promote.targets[0].migrate.components: unknown key; did you mean `component`?
    preview.toml:19: promote.targets[0].verify: nothing to look at; write the `host` of a page, or `component` and `command`
    preview.toml:19: promote.targets[0].verify: nothing to look at; write the `host` of a page, or `component` and `command`
    preview.toml:19: promote.targets[0].verify.host: "shop example" is not a host name (DNS labels of a-z, 0-9 and - with dots between them)
    preview.toml:19: promote.targets[0].verify.path: no path; it begins with / and is of letters, digits, % and -._~!$&'()*+,;=:@
    preview.toml:19: promote.targets[0].verify.status: no HTTP status; write 100 to 599
    preview.toml:19: promote.targets[0].verify.deadline: "2h" is no duration of at least 1s and at most 1h; write it like 60s or 2m
    preview.toml:19: promote.targets[0].verify.connect_to: "door" is not an address with a port, such as 203.0.113.7:443
    preview.toml:19: promote.targets[0].verify.component: a command of no component; write whose image runs it
    preview.toml:19: promote.targets[0].verify.command: a command of no words; write it like ["/api", "migrate"]
    preview.toml:19: promote.targets[0].rollback_after_migration: unknown variant `never`, expected `allow` or `refuse`
    "#);
}
