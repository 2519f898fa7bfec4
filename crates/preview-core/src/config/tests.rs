use super::*;

mod alerts;
mod attestation;
mod checks;
mod manifests;
mod promote;
mod routes;

const EXAMPLE: &str = include_str!("../../../../examples/preview.toml");

/// A file that is right, to be made wrong.
const RIGHT: &str = r#"
host = "{pr}.pr.example.com"

[components.web]
image = "ghcr.io/acme/web"
path = "/"

[components.api]
image = "ghcr.io/acme/api"
migrate = ["/api", "migrate"]
resources = { requests = { cpu = "100m" }, limits = { memory = "128Mi" } }

[database]

[[promote.targets]]
name = "production"
namespace = "shop"
workloads = [{ component = "web", workload = "Deployment/web" }]
"#;

fn error(text: &str) -> String {
    Config::parse("preview.toml", text).unwrap_err().to_string()
}

/// What is said of [`RIGHT`] when `from` is `to` in it.
fn error_with(from: &str, to: &str) -> String {
    assert!(RIGHT.contains(from), "{from}");
    error(&RIGHT.replacen(from, to, 1))
}

#[test]
fn the_example_says_what_it_looks_like() {
    let config = Config::parse("examples/preview.toml", EXAMPLE).unwrap();
    let names: Vec<&str> = config.components.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["web", "api"], "in the file's order");
    let web = config.component(&"web".parse().unwrap()).unwrap();
    assert_eq!(web.image.as_str(), "ghcr.io/acme/shop-web");
    assert_eq!((web.port, web.replicas), (8080, 2));
    let route = web.route.as_ref().unwrap();
    assert_eq!((&route.host, route.path.as_str()), (&None, "/"));
    assert_eq!(web.readiness.as_deref(), Some("/ready"));
    let api = config.component(&"api".parse().unwrap()).unwrap();
    assert_eq!(api.route, None);
    assert_eq!(api.seed, Some(vec!["/api".to_owned(), "seed".to_owned()]));
    let database = config.database.as_ref().unwrap();
    assert_eq!(
        (database.name.as_str(), database.user.as_str()),
        ("shop", "shop")
    );
    let target = config.target(&"production".parse().unwrap()).unwrap();
    let workloads: Vec<String> = target
        .workloads
        .iter()
        .map(|w| format!("{} {} {}", w.component, w.workload, w.container))
        .collect();
    assert_eq!(
        workloads,
        ["web Deployment/web web", "api Deployment/api api"]
    );
}

#[test]
fn the_readmes_configuration_is_one() {
    let readme = include_str!("../../../../README.md");
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let config = Config::parse("README.md", text).unwrap();
    assert_eq!(config.components.len(), 2);
    assert!(config.database.is_some());
}

#[test]
fn everything_has_a_default_but_names_images_and_hosts() {
    let least =
        "host = \"{pr}.x.org\"\n[components.web]\nimage = \"ghcr.io/acme/web\"\n[database]\n";
    let config = Config::parse("preview.toml", least).unwrap();
    insta::assert_debug_snapshot!(config, @r#"
    Config {
        namespace: preview-pr-{pr},
        host: {pr}.x.org,
        capacity: 10,
        capacity_of: Repository,
        approval: All,
        deadline: 600s,
        pull_requests: PullRules {
            label: None,
            exclude_labels: [],
            pause_labels: [],
            drafts: true,
            base_branches: [],
            paths: PathPatterns(
                [],
            ),
            exclude_paths: PathPatterns(
                [],
            ),
            bots: true,
            exclude_authors: [],
            forks: Build,
            import: Limits {
                entries: 1000,
                blob: 2147483648,
                whole: 4294967296,
            },
        },
        components: [
            Component {
                name: web,
                image: ghcr.io/acme/web,
                unchanged: PathPatterns(
                    [],
                ),
                port: 8080,
                replicas: 1,
                route: None,
                check: None,
                readiness: None,
                env: {},
                migrate: None,
                seed: None,
                resources: Resources {
                    requests: Amounts {
                        cpu: 50m,
                        memory: 64Mi,
                    },
                    limits: Amounts {
                        cpu: 500m,
                        memory: 256Mi,
                    },
                },
            },
        ],
        database: Some(
            Database {
                image: "docker.io/library/postgres:17",
                name: "app",
                user: "app",
                size: 1Gi,
                storage_class: None,
                resources: Resources {
                    requests: Amounts {
                        cpu: 100m,
                        memory: 256Mi,
                    },
                    limits: Amounts {
                        cpu: 500m,
                        memory: 512Mi,
                    },
                },
                migrations: PathPatterns(
                    [],
                ),
                seed: None,
            },
        ),
        manifests: ManifestSettings {
            kustomize: None,
            paths: PathPatterns(
                [],
            ),
        },
        quota: Quota {
            resources: Resources {
                requests: Amounts {
                    cpu: 2,
                    memory: 2Gi,
                },
                limits: Amounts {
                    cpu: 4,
                    memory: 4Gi,
                },
            },
            volumes: 3,
            storage: None,
        },
        queue: QueueSettings {
            workflow: "preview-deploy.yml",
        },
        sweep: SweepSettings {
            limit: None,
        },
        cleanup: CleanupSettings {
            workflow: "preview-cleanup.yml",
            retained_volumes: Stay,
        },
        lifetime: LifetimeSettings {
            most: None,
            asleep_after: None,
            keep_label: "keep-preview",
        },
        commands: CommandSettings {
            allowed: [
                Deploy,
                Approve,
                Destroy,
                ResetDatabase,
                Wake,
                Keep,
                Status,
            ],
        },
        alerts: AlertSettings {
            mail: None,
        },
        registry: RegistrySettings {
            plain_http: {},
            github_packages: {
                "ghcr.io",
            },
        },
        tls: None,
        network: NetworkSettings {
            ingress_from: [
                Pods {
                    namespace_labels: {
                        "kubernetes.io/metadata.name": "ingress-nginx",
                    },
                    pod_labels: {},
                },
            ],
            deny: [],
        },
        ingress: IngressSettings {
            class: None,
            annotations: {},
        },
        gateway: None,
        checks: ChecksSettings {
            connect_to: None,
        },
        access_hint: None,
        promote: Promote {
            unsigned_records: false,
            require_attestation: None,
            ignore: PathPatterns(
                [],
            ),
            targets: [],
        },
    }
    "#);
    for (missing, said) in [
        (
            least.replacen("host = \"{pr}.x.org\"\n", "", 1),
            "missing field `host`",
        ),
        (
            least.replacen("image = \"ghcr.io/acme/web\"\n", "", 1),
            "missing field `image`",
        ),
        (
            "host = \"{pr}.x.org\"".to_owned(),
            "missing field `components`",
        ),
    ] {
        assert!(error(&missing).ends_with(said), "{}", error(&missing));
    }
}

#[test]
fn an_unknown_key_is_refused_on_every_level_with_the_nearest_known_one() {
    let told: Vec<String> = [
        ("host =", "namespaec = \"x-{pr}\"\nhost ="),
        ("path =", "paht ="),
        ("requests = {", "request = {"),
        ("cpu = ", "cpus = "),
        ("memory = ", "memroy = "),
        ("[database]", "[database]\nuesr = \"x\""),
        ("[database]", "[quota]\nvolume = 1\n[database]"),
        ("[database]", "[quota.limits]\ncpuu = \"1\"\n[database]"),
        ("[database]", "[tls]\nsecrets = \"x\"\n[database]"),
        ("[database]", "[network]\ningress_form = []\n[database]"),
        ("[database]", "[registry]\nplain-http = []\n[database]"),
        (
            "[[promote.targets]]",
            "[promote]\nunsigned_record = true\n[[promote.targets]]",
        ),
        ("namespace = \"shop\"", "namespaces = \"shop\""),
        ("workload = ", "workloads = "),
        ("[database]", "[databse]"),
    ]
    .into_iter()
    .map(|(from, to)| error_with(from, to))
    .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    preview.toml:2: namespaec: unknown key; did you mean `namespace`?
    preview.toml:6: components.web.paht: unknown key; did you mean `path`?
    preview.toml:11: components.api.resources.request: unknown key; did you mean `requests`?
    preview.toml:11: components.api.resources.requests.cpus: unknown key; did you mean `cpu`?
    preview.toml:11: components.api.resources.limits.memroy: unknown key; did you mean `memory`?
    preview.toml:14: database.uesr: unknown key; did you mean `user`?
    preview.toml:14: quota.volume: unknown key; did you mean `volumes`?
    preview.toml:14: quota.limits.cpuu: unknown key; did you mean `cpu`?
    preview.toml:14: tls.secrets: unknown key; did you mean `secret`?
    preview.toml:14: network.ingress_form: unknown key; did you mean `ingress_from`?
    preview.toml:14: registry.plain-http: unknown key; did you mean `plain_http`?
    preview.toml:16: promote.unsigned_record: unknown key; did you mean `unsigned_records`?
    preview.toml:17: promote.targets[0].namespaces: unknown key; did you mean `namespace`?
    preview.toml:18: promote.targets[0].workloads[0].workloads: unknown key; did you mean `workload`?
    preview.toml:13: databse: unknown key; did you mean `database`?
    ");
}

#[test]
fn a_key_in_the_wrong_table_is_told_where_it_belongs() {
    insta::assert_snapshot!(error_with("host =", "replicas = 2\nhost ="), @"preview.toml:2: replicas: unknown key; there is `components.<name>.replicas`, and here: namespace, host, capacity, capacity_of, approval, deadline, pull_requests, components, database, manifests, quota, queue, sweep, cleanup, lifetime, commands, alerts, tls, network, ingress, gateway, checks, registry, access, promote");
    insta::assert_snapshot!(error_with("path =", "colour = \"red\"\npath ="), @"preview.toml:6: components.web.colour: unknown key; there are: image, unchanged, port, replicas, host, path, check, readiness, env, migrate, seed, resources");
}

#[test]
fn a_wrong_value_is_refused_with_file_line_key_and_what_to_write() {
    let told: Vec<String> = [
        (
            "host = \"{pr}.pr.example.com\"",
            "host = \"pr.example.com\"",
        ),
        (
            "host = \"{pr}.pr.example.com\"",
            "host = \"web.{pr}.example.com\"",
        ),
        ("host =", "namespace = \"preview\"\nhost ="),
        ("host =", "capacity = 0\nhost ="),
        ("host =", "capacity = -1\nhost ="),
        ("host =", "capacity_of = \"world\"\nhost ="),
        (
            "[database]",
            "[queue]\nworkflow = \".github/workflows/deploy.yml\"\n[database]",
        ),
        ("host =", "deadline = \"ten minutes\"\nhost ="),
        ("host =", "deadline = \"7h\"\nhost ="),
        ("ghcr.io/acme/web", "ghcr.io/acme/web:latest"),
        ("[components.web]", "[components.Web]"),
        ("[components.web]", "[components.2048]"),
        ("[components.web]", "[components.database]"),
        ("path = \"/\"", "path = \"web\""),
        ("path = \"/\"", "port = 0"),
        ("path = \"/\"", "port = 65536"),
        ("path = \"/\"", "replicas = -1"),
        ("path = \"/\"", "readiness = \"/ready?now\""),
        ("path = \"/\"", "env = { \"NO-NAME\" = \"x\" }"),
        ("path = \"/\"", "env = { BASE_URL = \"x\" }"),
        ("path = \"/\"", "env = { URL = \"${BASE_ULR}/x\" }"),
        ("path = \"/\"", "env = { URL = \"${HOME\" }"),
        ("path = \"/\"", "env = { DEBUG = true }"),
        ("migrate = [\"/api\", \"migrate\"]", "migrate = []"),
        ("migrate = [\"/api\", \"migrate\"]", "path = \"/\""),
        ("cpu = \"100m\"", "cpu = \"100 m\""),
        ("cpu = \"100m\"", "cpu = \"1\""),
        ("[database]", "[database]\nimage = \"postgres\""),
        ("[database]", "[database]\nname = \"Shop\""),
        ("[database]", "[database]\nsize = \"big\""),
        ("[database]", "[quota]\nstorage = \"big\"\n[database]"),
        ("[database]", "[access]\nhint = \"\"\n[database]"),
        (
            "[database]",
            "[access]\nhint = \"ask\\nsomebody\"\n[database]",
        ),
        ("[database]\n", ""),
        (
            "[database]",
            "[registry]\nplain_http = [\"http://x\"]\n[database]",
        ),
        ("[database]", "[ingress]\nclass = \"Nginx\"\n[database]"),
        ("component = \"web\"", "component = \"wbe\""),
        ("\"Deployment/web\"", "\"Pod/web\""),
        ("\"Deployment/web\"", "\"Service/web\""),
        (
            "[{ component = \"web\", workload = \"Deployment/web\" }]",
            "[]",
        ),
        ("name = \"production\"", "name = \"Production\""),
        ("[components.web]", "[components.web"),
    ]
    .into_iter()
    .map(|(from, to)| error_with(from, to))
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    preview.toml:2: host: "pr.example.com" is not a host template with {pr} in its first label and nowhere else, such as {pr}.pr.example.com: a wildcard certificate covers one label
    preview.toml:2: host: "web.{pr}.example.com" is not a host template with {pr} in its first label and nowhere else, such as {pr}.pr.example.com: a wildcard certificate covers one label
    preview.toml:2: namespace: "preview" is not a template with {pr} once, and {repo} at most once
    preview.toml:2: capacity: at least one preview must have a slot; write 1 or more
    preview.toml:2: capacity: invalid value: integer `-1`, expected u32
    preview.toml:2: capacity_of: unknown variant `world`, expected `repository` or `cluster`
    preview.toml:14: queue.workflow: ".github/workflows/deploy.yml" is no file of .github/workflows; write its name alone, like preview-deploy.yml
    preview.toml:2: deadline: "ten minutes" is no duration of at least 30s and at most 6h; write it like 10m, 90s or 1h30m
    preview.toml:2: deadline: "7h" is no duration of at least 30s and at most 6h; write it like 10m, 90s or 1h30m
    preview.toml:5: components.web.image: "ghcr.io/acme/web:latest" is not an image name with a registry and without tag or digest, such as ghcr.io/acme/web
    preview.toml:4: components.Web: "Web" is not a component name (a DNS label: at most 63 of a-z, 0-9 and -)
    preview.toml:4: components.2048: the name of a Service, too: at most 40 characters, and a letter first
    preview.toml:4: components.database: the database's own name; choose another
    preview.toml:6: components.web.path: no path of a route; it begins with / and is of letters, digits and -._~!$&'()*+,;=:@, with neither // nor /./ nor /../ in it
    preview.toml:6: components.web.port: 0 is no port; write 1 to 65535
    preview.toml:6: components.web.port: invalid value: integer `65536`, expected u16
    preview.toml:6: components.web.replicas: invalid value: integer `-1`, expected u32
    preview.toml:6: components.web.readiness: no path; it begins with / and has neither blanks nor ? nor #
    preview.toml:6: components.web.env.NO-NAME: no name of an environment variable; use letters, digits and _, and no digit first
    preview.toml:6: components.web.env.BASE_URL: set for every component already; choose another name
    preview.toml:6: components.web.env.URL: ${BASE_ULR} stands for nothing; did you mean ${BASE_URL}? ($${ is ${ itself)
    preview.toml:6: components.web.env.URL: ${HOME} stands for nothing; there are: ENV, BASE_URL, PR_NUMBER, NAMESPACE, COMMIT, DATABASE_HOST, DATABASE_PORT, DATABASE_NAME, DATABASE_USER ($${ is ${ itself)
    preview.toml:6: components.web.env.DEBUG: invalid type: boolean `true`, expected a string
    preview.toml:10: components.api.migrate: a command of no words; write it like ["/api", "migrate"], or leave the key out
    preview.toml:10: components.api.path: / leads to component web already; give each its own path
    preview.toml:11: components.api.resources.requests.cpu: "100 m" is not an amount of CPU such as "2" or "250m"
    preview.toml:11: components.api.resources: requests (cpu 1, memory 64Mi) exceed limits (cpu 500m, memory 128Mi); raise the limits too
    preview.toml:14: database.image: no image with its registry; write it like docker.io/library/postgres:17
    preview.toml:14: database.name: no plain name; use a-z, 0-9 and _, at most 63, and a letter first
    preview.toml:14: database.size: "big" is not an amount of bytes such as "512Mi" or "1Gi"
    preview.toml:14: quota.storage: "big" is not an amount of bytes such as "512Mi" or "1Gi"
    preview.toml:14: access.hint: it stands in a comment: write one line of at most 300 characters
    preview.toml:14: access.hint: it stands in a comment: write one line of at most 300 characters
    preview.toml:10: components.api.migrate: there is no database; describe one as [database], if with no keys at all
    preview.toml:14: registry.plain_http: "http://x" is no registry; write it like registry.example.com:5000
    preview.toml:14: ingress.class: no name of a Kubernetes object: a-z, 0-9, - and dots
    preview.toml:18: promote.targets[0].workloads[0].component: there is no component wbe; there are: web, api
    preview.toml:18: promote.targets[0].workloads[0].workload: "Pod/web" is not an object of the form Kind/name, such as Deployment/web
    preview.toml:18: promote.targets[0].workloads[0].workload: a Service runs no component; name one of: Deployment, StatefulSet, DaemonSet, CronJob
    preview.toml:18: promote.targets[0].workloads: a target that runs nothing; name a workload, or leave the key out for all components
    preview.toml:16: promote.targets[0].name: "Production" is not a target's name (a DNS label: at most 63 of a-z, 0-9 and -)
    preview.toml:4: unclosed table, expected `]`
    "#);
}

#[test]
fn two_targets_of_one_name_and_two_components_at_one_path_are_refused() {
    let again = format!("{RIGHT}\n[[promote.targets]]\nname = \"production\"\nnamespace = \"x\"\n");
    insta::assert_snapshot!(error(&again), @"preview.toml:21: promote.targets[1].name: there is a target of that name already");
    let same = RIGHT.replacen("migrate", "path = \"/\"\nmigrate", 1);
    insta::assert_snapshot!(error(&same), @"preview.toml:10: components.api.path: / leads to component web already; give each its own path");
}

#[test]
fn what_needs_a_database_is_refused_without_one() {
    let without = "host = \"{pr}.x.org\"\n[components.web]\nimage = \"ghcr.io/acme/web\"\n";
    insta::assert_snapshot!(error(&format!("{without}env = {{ DB = \"${{DATABASE_HOST}}\" }}")), @"preview.toml:4: components.web.env.DB: ${DATABASE_HOST} stands for nothing without a database; describe one as [database]");
    insta::assert_snapshot!(error(&format!("{without}seed = [\"/seed\"]")), @"preview.toml:4: components.web.seed: there is no database; describe one as [database], if with no keys at all");
}

#[test]
fn deadlines_are_hours_minutes_and_seconds() {
    let deadline = |text: &str| {
        let text = RIGHT.replacen("host", &format!("deadline = \"{text}\"\nhost"), 1);
        Config::parse("preview.toml", &text)
            .map(|config| config.deadline.as_secs())
            .ok()
    };
    for (text, seconds) in [
        ("10m", Some(600)),
        ("90s", Some(90)),
        ("1h30m", Some(5400)),
        ("1h0m5s", Some(3605)),
        ("", None),
        ("10", None),
        ("29s", None),
        ("5m1h", None),
        ("99999999999999999999s", None),
    ] {
        assert_eq!(deadline(text), seconds, "{text}");
    }
}

#[test]
fn a_limit_alone_takes_its_request_along() {
    let text = RIGHT.replacen(
        "path = \"/\"",
        "resources = { limits = { cpu = \"10m\", memory = \"32Mi\" } }",
        1,
    );
    let config = Config::parse("preview.toml", &text).unwrap();
    let resources = &config.component(&"web".parse().unwrap()).unwrap().resources;
    assert_eq!(resources.requests.cpu.as_str(), "10m");
    assert_eq!(resources.requests.memory.as_str(), "32Mi");
}

#[test]
fn values_of_env_name_the_fixed_variables() {
    let render = |text: &str| {
        EnvValue::parse(text).map(|value| value.render(|variable| format!("<{}>", variable.name())))
    };
    for (text, rendered) in [
        ("plain", Ok("plain")),
        ("", Ok("")),
        (
            "${BASE_URL}/x?pr=${PR_NUMBER}",
            Ok("<BASE_URL>/x?pr=<PR_NUMBER>"),
        ),
        ("$${BASE_URL} costs $5", Ok("${BASE_URL} costs $5")),
        ("$(DATABASE_PASSWORD)", Ok("$(DATABASE_PASSWORD)")),
        ("https://${HOST_ADMIN_UI}", Ok("https://<HOST_ADMIN_UI>")),
        ("${HOST_web}", Err("HOST_web")),
        ("${HOST_}", Err("HOST_")),
        ("${HOME}", Err("HOME")),
        ("${ENV", Err("ENV")),
        ("${}", Err("")),
    ] {
        let expected = rendered.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(render(text), expected, "{text}");
    }
}

#[test]
fn images_of_databases_have_a_registry_and_may_have_a_tag_or_a_digest() {
    let digest = format!("docker.io/library/postgres@sha256:{}", "a".repeat(64));
    for (image, good) in [
        ("docker.io/library/postgres:17", true),
        ("198.51.100.10:5000/postgres:15", true),
        (&digest, true),
        ("198.51.100.10:5000/postgres", true),
        ("docker.io/library/postgres:", false),
        ("docker.io/library/postgres@sha256:1", false),
        ("postgres:17", false),
    ] {
        let text = RIGHT.replacen("[database]", &format!("[database]\nimage = \"{image}\""), 1);
        assert_eq!(
            Config::parse("preview.toml", &text).is_ok(),
            good,
            "{image}"
        );
    }
}
