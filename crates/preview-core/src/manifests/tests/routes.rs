//! How a preview is reached from outside.

use super::{EXAMPLE, Parts, body, pretty};

/// The API at a host of its own, and a page of administration at a path.
const HOSTS: &str = r#"
host = "{pr}.pr.example.com"

[components.web]
image = "ghcr.io/acme/web"
path = "/"
env = { API = "https://${HOST_API}/v1" }

[components.api]
image = "ghcr.io/acme/api"
host = "{pr}-api.pr.example.com"

[components.admin-ui]
image = "ghcr.io/acme/admin"
path = "/admin"

[components.worker]
image = "ghcr.io/acme/worker"

[ingress.annotations]
"nginx.ingress.kubernetes.io/auth-type" = "basic"
"#;

#[test]
fn routes_are_of_components_with_a_path_and_name_class_and_certificate_where_configured() {
    let parts = Parts::of(EXAMPLE);
    let routes = parts.preview().routes();
    assert_eq!(routes.len(), 1);
    insta::assert_snapshot!(body(&routes, "Ingress/web")["spec"], @r#"{"ingressClassName":"nginx","rules":[{"host":"7.pr.example.com","http":{"paths":[{"backend":{"service":{"name":"web","port":{"name":"http"}}},"path":"/","pathType":"Prefix"}]}}],"tls":[{"hosts":["7.pr.example.com"],"secretName":"preview-wildcard-tls"}]}"#);
    let plain = Parts::of(&EXAMPLE.replace(
        "class = \"nginx\"\n\n[tls]\nsecret = \"preview-wildcard-tls\"\n",
        "",
    ));
    insta::assert_snapshot!(body(&plain.preview().routes(), "Ingress/web")["spec"], @r#"{"rules":[{"host":"7.pr.example.com","http":{"paths":[{"backend":{"service":{"name":"web","port":{"name":"http"}}},"path":"/","pathType":"Prefix"}]}}]}"#);
}

#[test]
fn hosts_are_the_previews_and_its_components_and_known_to_all_of_them() {
    let parts = Parts::of(HOSTS);
    let preview = parts.preview();
    let hosts: Vec<String> = preview.hosts().iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["7-api.pr.example.com", "7.pr.example.com"]);
    let url = |component: &str| preview.url_of(&component.parse().unwrap());
    assert_eq!(url("web").as_deref(), Some("https://7.pr.example.com"));
    assert_eq!(url("api").as_deref(), Some("https://7-api.pr.example.com"));
    assert_eq!(
        url("admin-ui").as_deref(),
        Some("https://7.pr.example.com/admin")
    );
    assert_eq!((url("worker"), url("nobody")), (None, None));
    let own = preview.urls_of_own_hosts();
    let own: Vec<(&str, &str)> = own.iter().map(|(c, url)| (c.as_str(), &**url)).collect();
    assert_eq!(own, [("api", "https://7-api.pr.example.com")]);
    insta::assert_snapshot!(serde_json::to_string(&preview.variables()).unwrap(), @r#"{"BASE_URL":"https://7.pr.example.com","COMMIT":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","ENV":"preview","HOST_ADMIN_UI":"7.pr.example.com","HOST_API":"7-api.pr.example.com","HOST_WEB":"7.pr.example.com","NAMESPACE":"preview-pr-7","PR_NUMBER":"7"}"#);
    let web = body(&preview.workloads(), "Deployment/web");
    let env = &web["spec"]["template"]["spec"]["containers"][0]["env"];
    insta::assert_snapshot!(env[0], @r#"{"name":"API","value":"https://7-api.pr.example.com/v1"}"#);
}

#[test]
fn a_host_of_a_components_own_has_an_ingress_with_the_annotations_of_all() {
    let parts = Parts::of(HOSTS);
    let routes = parts.preview().routes();
    assert_eq!(routes.len(), 3);
    insta::assert_snapshot!(pretty(&body(&routes, "Ingress/api")), @r#"
    {
      "apiVersion": "networking.k8s.io/v1",
      "kind": "Ingress",
      "metadata": {
        "annotations": {
          "nginx.ingress.kubernetes.io/auth-type": "basic"
        },
        "labels": {
          "app.kubernetes.io/component": "api",
          "app.kubernetes.io/name": "api"
        },
        "name": "api"
      },
      "spec": {
        "rules": [
          {
            "host": "7-api.pr.example.com",
            "http": {
              "paths": [
                {
                  "backend": {
                    "service": {
                      "name": "api",
                      "port": {
                        "name": "http"
                      }
                    }
                  },
                  "path": "/",
                  "pathType": "Prefix"
                }
              ]
            }
          }
        ]
      }
    }
    "#);
    insta::assert_snapshot!(body(&routes, "Ingress/admin-ui")["spec"]["rules"][0]["http"]["paths"][0], @r#"{"backend":{"service":{"name":"admin-ui","port":{"name":"http"}}},"path":"/admin","pathType":"Prefix"}"#);
}

#[test]
fn a_gateway_is_asked_for_routes_of_the_same_hosts_and_paths() {
    let annotations = HOSTS.find("[ingress.annotations]").unwrap();
    let gateway = "[gateway]\nname = \"public\"\nnamespace = \"gateways\"\nsection = \"https\"\n";
    let parts = Parts::of(&format!("{}{gateway}", &HOSTS[..annotations]));
    let routes = parts.preview().routes();
    let names: Vec<String> = routes.iter().map(|m| m.object().to_string()).collect();
    assert_eq!(
        names,
        ["HTTPRoute/web", "HTTPRoute/api", "HTTPRoute/admin-ui"]
    );
    insta::assert_snapshot!(pretty(&body(&routes, "HTTPRoute/admin-ui")), @r#"
    {
      "apiVersion": "gateway.networking.k8s.io/v1",
      "kind": "HTTPRoute",
      "metadata": {
        "labels": {
          "app.kubernetes.io/component": "admin-ui",
          "app.kubernetes.io/name": "admin-ui"
        },
        "name": "admin-ui"
      },
      "spec": {
        "hostnames": [
          "7.pr.example.com"
        ],
        "parentRefs": [
          {
            "name": "public",
            "namespace": "gateways",
            "sectionName": "https"
          }
        ],
        "rules": [
          {
            "backendRefs": [
              {
                "name": "admin-ui",
                "port": 8080
              }
            ],
            "matches": [
              {
                "path": {
                  "type": "PathPrefix",
                  "value": "/admin"
                }
              }
            ]
          }
        ]
      }
    }
    "#);
}

#[test]
fn a_check_is_of_a_components_workload_and_knows_the_way_to_it() {
    let checks = |text: &str| -> Vec<String> {
        let parts = Parts::of(text);
        let checks = parts.preview().checks();
        let told = checks.iter().map(|check| {
            let way = check.route.as_ref().map(|way| way.object.to_string());
            format!("{} of {}, {way:?}", check.address(), check.workload)
        });
        told.collect()
    };
    let checked = |component: &str, check: &str, text: &str| {
        let table = format!("[components.{component}]\n");
        text.replacen(&table, &format!("{table}check = {{ {check} }}\n"), 1)
    };
    let text = checked("api", "path = \"/health\"", HOSTS);
    let text = checked("admin-ui", "status = 401", &text);
    let text = checked("worker", "", &text);
    assert_eq!(
        checks(&text),
        [
            "https://7-api.pr.example.com/health of Deployment/api, Some(\"Ingress/api\")",
            "https://7.pr.example.com/admin of Deployment/admin-ui, Some(\"Ingress/admin-ui\")",
            "Service/worker:8080/ of Deployment/worker, None",
        ]
    );
    let annotations = text.find("[ingress.annotations]").unwrap();
    let gateway = "[gateway]\nname = \"public\"\nnamespace = \"gateways\"\n";
    let over_a_gateway = checks(&format!("{}{gateway}", &text[..annotations]));
    assert_eq!(
        over_a_gateway[0],
        "https://7-api.pr.example.com/health of Deployment/api, Some(\"HTTPRoute/api\")"
    );
}
